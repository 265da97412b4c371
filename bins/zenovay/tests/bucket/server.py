"""An S3 server that keeps its objects in memory, with the bucket `recordings`.

    server.py          who asks need not be known
    server.py KEYS     only who has the key that is printed, and signs what is asked for with it

Prints one JSON object, {url, key_id, secret}, and serves until its standard input ends.
"""

import json
import os
import sys

KEYS = len(sys.argv) > 1
# What is asked before there is a key.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4" if KEYS else "inf"

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
key = {"key_id": "key", "secret": "secret"}


def client(service):
    names = {"aws_access_key_id": key["key_id"], "aws_secret_access_key": key["secret"]}
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", **names)


client("s3").create_bucket(Bucket="recordings")
if KEYS:
    iam = client("iam")
    iam.create_user(UserName="zenovay")
    made = iam.create_access_key(UserName="zenovay")["AccessKey"]
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="zenovay", PolicyName="all", PolicyDocument=policy)
    key = {"key_id": made["AccessKeyId"], "secret": made["SecretAccessKey"]}
print(json.dumps({"url": url, **key}), flush=True)
sys.stdin.read()
server.stop()
