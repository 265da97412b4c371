DROP TABLE funnels;
DROP TABLE goals;
