DROP TABLE cluster_ledger;
DROP TABLE cluster_keys;
DROP TABLE cluster_arrivals;
