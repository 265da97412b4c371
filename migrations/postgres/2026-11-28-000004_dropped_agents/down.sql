DROP TABLE dropped_agents;
