"""Settings of the tests of studies."""

import pytest

from rnnjax.report import page


@pytest.fixture(autouse=True, scope="module")
def coarse_pictures():
    """Pictures of reports with few pixels, which are drawn faster; no size on a page changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_SHARPNESS", 0.4)
        yield
