"""The Python examples in the docs that take little time run as they stand; see also test_docs."""

import pytest

from examples import SHORT, run_examples


@pytest.mark.slow
@pytest.mark.parametrize("page", SHORT, ids=lambda p: p.name)
def test_examples_run(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run_examples(page)
