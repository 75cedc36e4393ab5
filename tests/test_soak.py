"""A sample of the soak: what the program holds on to does not grow with the questions it is asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fieldguide import locations

SCRIPT = """
import json, sys
from pathlib import Path
from soak import growth, soak
# An index that another has replaced stays open for whoever still reads it: two are open from the first rebuilding on.
more = growth(soak(80, Path(sys.argv[1]), 10, rebuilt=50))
print(json.dumps([more.megabytes, more.open_files, more.threads, more.temporary_files]))
"""


@pytest.mark.weights
def test_memory_files_and_threads_stay_flat_over_many_questions(tmp_path, tiny_model_path, embedder_folder):
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "FIELDGUIDE_MODELS": str(locations.default_models_folder()),
    }
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert result.returncode == 0, result.stderr
    megabytes, open_files, threads, temporary_files = json.loads(result.stdout.splitlines()[-1])
    assert megabytes < 60, result.stderr
    assert max(open_files, threads, temporary_files) <= 2, result.stderr
