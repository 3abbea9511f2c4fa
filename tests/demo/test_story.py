"""The demo as a user starts it: `python -m demo`, with simulated months, and with a file of customers."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import psutil
import pytest

from demo import simulate
from loopback.servers import ProgramMissing

PROJECT = Path(__file__).parents[2]
TELCO_VARIABLE = "LOCKSTEP_TELCO_CSV"
WAIT = 900  # seconds for a whole demo, on a machine that has other things to do
LAST = "Ctrl-C ends it."

STORY = (
    r"0\. Airflow starts on this machine",
    r"Airflow 3\.3\.\d+ is ready at http://127\.0\.0\.1:\d+",
    r"1\. The first month: everything is trained, nothing is promoted",
    r"churn_retrain took customers@1 on Beam and trained two models",
    r"\d+ rows kept, \d+ in quarantine with their reasons",
    r"churn@1: ROC AUC 0\.\d{3}",
    r"churn_reason@1: ROC AUC 0\.\d{3}",
    r"2\. One model is promoted: the release waits for its sibling",
    r"churn_promote moved churn@1, retention_offer@1, priority_call@1 to staging",
    r"churn_release woke up; its gate waits, and its log says why",
    r"churn_reason is not in staging",
    r"`lockstep gate churn` says the same, with exit status 1",
    r"3\. The sibling is promoted: the gate opens, and all are released at once",
    r"churn_promote moved churn_reason@1 to staging",
    r"the gate opened by itself; churn_release made release [0-9a-f]{12}",
    r"both APIs answer for customer \S+ from release [0-9a-f]{12}",
    r"offers: retention_offer (yes|no), probability 0\.\d{3}, threshold 0\.\d{3} \(retention_offer@1, churn@1\)",
    r"offers: churn_reason says .+ \(churn_reason@1\)",
    r"calls: priority_call (yes|no), probability 0\.\d{3}, threshold 0\.\d{3} \(priority_call@1, churn@1\)",
    r"4\. Two experiments: two more candidates, and nothing else moves",
    r"churn_retrain trained churn@2 with C = 0\.3",
    r"churn_retrain trained churn@3 with C = 0\.03",
    r"nothing else has moved",
    r"5\. A newer churn goes to staging: its sibling no longer fits, until it is retrained on it",
    r"churn_reason@1 was built on churn@1, but churn@3 is in staging",
    r"churn_retrain trained churn_reason on churn@3, and promoted it",
    r"the gate opened by itself; churn_release made release [0-9a-f]{12}",
    r"all 4 members were replaced by one log entry \(\d+\)",
    r"both APIs answer for customer \S+ from release [0-9a-f]{12}",
    r"6\. Back: one rollback, and all is as it was",
    r"churn_rollback left [0-9a-f]{12}; release [0-9a-f]{12} is in production again",
    r"both APIs answer for customer \S+ from release [0-9a-f]{12}",
    r"churn is on hold: nothing of it is released until churn_resume lifts that",
    r"churn is on hold since \S+, by \S+, after the rollback from release [0-9a-f]{12}: the first calls were better",
)
DUE = (
    r"7\. A competitor opens: the new month is not what the group was trained on",
    r"7000 simulated customers of month 4 \(customers-2026-04\.csv\) arrived in place of the month before",
    r"churn_watch took a snapshot, and said that churn is to be retrained:",
    r"yes drift\(psi=0\.2, columns=\"important\"\): label Churn, of which a share moves by \d\.\d%",
    r"no  age\(days=30\): it was trained 0\.0 days ago",
    r"that started churn_retrain, which trained both models on customers@3",
    r"churn@4: ROC AUC 0\.\d{3}, trained by the task churn\.train",
    r"churn_reason@3: ROC AUC 0\.\d{3}, trained by the task churn_reason\.train",
)
TRUE = r"The story is true"
BY_VERTEX = r"trained by projects/[\w-]+/locations/us-central1/customJobs/\d+"
CLOUD = (
    r"the registry is gs://[\w/-]+: fake-gcs-server answers for Google Cloud Storage",
    r"Airflow's variable lockstep_where says vertex\(region=us-central1, image=\S+\)",
    r"`airflow lockstep config churn` shows what follows from that, and who says what",
    r"churn: vertex\(project=[\w-]+, region=us-central1, machine=n2-standard-4, image=\S+, connection=\w+\)",
    r"kind by Airflow variable lockstep_where, project by environment GOOGLE_CLOUD_PROJECT,",
    rf"churn@1: ROC AUC 0\.\d{{3}}, {BY_VERTEX}",
    rf"churn_reason@1: ROC AUC 0\.\d{{3}}, {BY_VERTEX}",
    rf"churn@2: ROC AUC 0\.\d{{3}}, {BY_VERTEX}",
    rf"churn@3: ROC AUC 0\.\d{{3}}, {BY_VERTEX}",
    rf"churn_reason@2: ROC AUC 0\.\d{{3}}, {BY_VERTEX}",
    r"5 custom jobs on Vertex AI have made 5 versions: none was submitted twice",
)


class Demo:
    """One `python -m demo` with its output in a file; it and all that it started are ended after the block."""

    def __init__(self, folder: Path, *options: str | Path) -> None:
        self.folder, self._output = folder, folder.with_suffix(".txt")
        # what is started in a shell's background is deaf to Ctrl-C, and would pass that on
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with self._output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "demo", "--folder", folder, *options],
                cwd=PROJECT,
                env={**os.environ, "PYTHONPATH": str(PROJECT / "include")},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        signal.signal(signal.SIGINT, before)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for left in self.left():
            left.kill()

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return self._output.read_text()

    def left(self) -> list[psutil.Process]:
        """Every living process that was started for its folder: of Airflow, the decision API, and a cloud's servers."""
        found = []
        for process in psutil.process_iter():
            try:
                names = (process.environ().get("AIRFLOW_HOME", ""), process.environ().get("LOCKSTEP_DATA", ""))
                is_ours = any(Path(name).is_relative_to(self.folder.absolute()) for name in (*names, process.cwd()))
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def end(self) -> int:
        """Its exit status, once it has one."""
        return self.process.wait(WAIT)

    def wait_for(self, text: str) -> None:
        """Return once it has printed that."""
        deadline = time.monotonic() + WAIT
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.2)


def missing(sentences: Sequence[str], output: str) -> str:
    """The first sentence that does not stand in the output behind those before it; blank if all do."""
    place = 0
    for sentence in sentences:
        found = re.compile(sentence).search(output, place)
        if found is None:
            return sentence
        place = found.end()
    return ""


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    """A file of customers of the user's own: the Telco file where it is, else one in its columns."""
    telco = Path(os.environ.get(TELCO_VARIABLE) or PROJECT.parent / "shared" / "data" / "telco-customer-churn.csv")
    return telco if telco.is_file() else simulate.write(tmp_path / "own", 1)


@pytest.mark.standalone
@pytest.mark.slow
@pytest.mark.timeout(WAIT + 120)
def test_the_story_on_this_machine_comes_true_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    """The demo tells the whole story in order with simulated months, stays up until Ctrl-C, then leaves no process."""
    with Demo(tmp_path / "demo") as demo:
        demo.wait_for(LAST)
        assert missing((*STORY, *DUE, TRUE, re.escape(LAST)), demo.output) == "", demo.output
        assert f"{simulate.CUSTOMERS} simulated customers of month 1" in demo.output
        assert f"{simulate.CUSTOMERS} simulated customers of month 2" in demo.output
        assert "churn@3: ROC AUC" in demo.output
        assert demo.output.count(", trained by the task churn.train\n") == 4
        assert demo.output.count(", trained by the task churn_reason.train\n") == 3
        assert demo.left()
        for _ in range(20):  # by an impatient user
            demo.process.send_signal(signal.SIGINT)
            time.sleep(0.03)
        assert demo.end() == 130
        assert demo.output.endswith("\nStopped.\n")
        assert demo.left() == []


@pytest.mark.standalone
@pytest.mark.slow
@pytest.mark.timeout(WAIT + 120)
def test_the_story_in_a_cloud_comes_true(tmp_path: Path, customers: Path, subtests: pytest.Subtests) -> None:
    """With a bucket, and custom jobs of Vertex AI, the same story comes true with a user's file; no process is left."""
    with Demo(tmp_path / "demo", "--exit", "--cloud", "loopback", "--customers", customers) as demo:
        status = demo.end()
        if status == 2 and (named := re.search(r"\. (.+) is missing: python3 loopback/install\.py", demo.output)):
            raise ProgramMissing(named[1])
        assert status == 0, demo.output
        assert missing((*STORY, TRUE), demo.output) == "", demo.output
        assert missing(CLOUD, demo.output) == "", demo.output
        assert f"the customers in {customers.name} arrived" in demo.output
        assert LAST not in demo.output
        assert demo.left() == []
        with subtests.test("of the Telco file, 7032 rows are kept"):
            if customers.is_relative_to(tmp_path):
                pytest.skip(f"The Telco churn file is not there; name its place in {TELCO_VARIABLE}.")
            assert "7032 rows kept, 11 in quarantine with their reasons" in demo.output


def test_a_cloud_whose_programs_are_missing_is_told(tmp_path: Path) -> None:
    """Without the servers that stand for the cloud, the demo ends with status 2 and the line that installs them."""
    text = "import sys; from pathlib import Path; from loopback import servers; servers.FOLDER = Path(sys.argv.pop())"
    command = [sys.executable, "-c", f"{text}; from demo.__main__ import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "--cloud", "loopback", "--folder", tmp_path / "demo", tmp_path],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT / "include"), str(PROJECT)]), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "fake-gcs-server is missing: python3 loopback/install.py" in done.stderr


def test_a_missing_file_of_customers_is_wrong_use(tmp_path: Path) -> None:
    """A file that is not there ends the demo with status 2 and a sentence, before anything is started or written."""
    with Demo(tmp_path / "demo", "--exit", "--customers", tmp_path / "nobody.csv") as demo:
        assert demo.end() == 2
        assert f"{tmp_path / 'nobody.csv'} is no file; name a CSV file." in demo.output
        assert not demo.folder.exists()
