"""An image that starts in a moment, for whoever deploys much and predicts nothing: it says which version it was given.

Rules:
- It understands the words of `python -m lockstep.serving`, and answers each prediction with the digest.
- What lies beside its program decides what goes wrong: `dies` (digests of containers that end at once), `lies` (digests
  of those that name another).
"""

import sys
from pathlib import Path
from typing import Final

from loopback.vertex.containers import Image

PROGRAM: Final = """#!{python} -IS
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

digest = sys.argv[sys.argv.index("--digest") + 1]
beside = Path(__file__).parent
told = lambda name: (beside / name).read_text().split() if (beside / name).exists() else []
if digest in told("dies"):
    sys.exit("no such version")

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(dict())

    def do_POST(self):
        self.answer(dict(predictions=[dict(digest="another" if digest in told("lies") else digest)]))

    def answer(self, said):
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

HTTPServer((os.environ["LOCKSTEP_HOST"], int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""


def small_image(folder: Path) -> Image:
    """Lay the program out as the `python` of an image."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "python"
    program.write_text(PROGRAM.replace("{python}", sys.executable))
    program.chmod(0o755)
    return Image(programs=folder, core=False)
