DROP TABLE cluster_secret;
DROP TABLE cluster_erasures;
