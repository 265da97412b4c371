"""A server of ClickHouse from the package chdb-core: `serve.py DIRECTORY`, with config.xml in it.

It ends when its standard input is closed, as the system does when whoever started it ends, in whatever way; its tables are then shut
down in order, and the directory is removed. SIGKILL is a crash.
"""

import os
import shutil
import sys
import threading

directory = os.path.abspath(sys.argv[1])
os.chdir(directory)
from chdb import _chdb  # noqa: E402

stop = os.path.join(directory, "stop")
if os.path.exists(stop):
    os.unlink(stop)
os.mkfifo(stop)


def serve():
    # The last statement waits until somebody has written to the pipe.
    statements = f"SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; SELECT count() FROM file('{stop}', LineAsString, 'line String')"
    try:
        _chdb.query(statements, "TSV", path=os.path.join(directory, "data"))
    except BaseException as error:
        print(error, flush=True)
        os._exit(1)
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


serving = threading.Thread(target=serve, daemon=True)
serving.start()
sys.stdin.read()
with open(stop, "w"):
    pass
# Nobody waits for it any more: in order or not, it ends.
serving.join(60)
shutil.rmtree(directory, ignore_errors=True)
os._exit(1)
