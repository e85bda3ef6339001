#!/usr/bin/python3
"""Takes the pictures of the status page that the documents show: of a real service with clients at work.

    tests/deploy/page/pictures.py [--bin build/release/bin] [--out deploy/images]

Takes a minute: so long are the plots.
"""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))
MAX_PICTURE_BYTES = 150 * 1024
PLOT_S = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--bin", type=Path, default=ROOT / "build/release/bin", help="where transportd and transportctl are"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "deploy/images")
    arguments = parser.parse_args()
    os.environ["TRANSPORTD_BIN"] = str(arguments.bin / "transportd")
    os.environ["TRANSPORTCTL_BIN"] = str(arguments.bin / "transportctl")
    # They read the environment.
    from browser import browser
    from harness import eventually
    from lab import OPS_TOKEN, Lab

    with contextlib.ExitStack() as stack:
        lab = Lab(stack)
        window = stack.enter_context(browser())
        window.open(lab.url)
        eventually(lambda: window.shown("#token"), "it asks for a token")
        window.type("#token-value", OPS_TOKEN)
        window.click("#token-use")
        eventually(lambda: window.shown("#content"), "the first answer is shown")
        window.run("poller.intervalMs = 1000; poller.now()")
        lab.work()
        long_enough = (
            f"return (tiles.received.plot.points.at(-1)?.t - tiles.received.plot.points[0]?.t) > {PLOT_S * 1000}"
        )
        eventually(lambda: window.run(long_enough), "the plots are long enough", timeout=2 * PLOT_S)
        window.click("#transports th:nth-child(5) button")
        window.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=0, y=0)
        # The four are of one moment.
        window.run("poller.paused = true; document.activeElement.blur()")
        for size in ("wide", "narrow"):
            for theme in ("light", "dark"):
                window.look(size, theme)
                picture = arguments.out / f"status-{size}-{theme}.png"
                window.screenshot(picture, whole=False)
                Image.open(picture).quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)
                if picture.stat().st_size > MAX_PICTURE_BYTES:
                    raise SystemExit(f"{picture} has {picture.stat().st_size} bytes, and may have {MAX_PICTURE_BYTES}")
                print(picture, picture.stat().st_size)


if __name__ == "__main__":
    main()
