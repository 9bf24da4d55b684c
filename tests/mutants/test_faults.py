"""The list of faults is in date; ``sh scripts/test_slow.sh mutants`` puts them in."""

import re

from tests.mutants.faults import FAULTS
from tests.support import ROOT


def test_every_fault_can_be_put_in_and_names_a_test():
    assert len(FAULTS) >= 60
    assert len({fault[:3] for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1, fault
        assert "\n" not in fault.old + fault.new and fault.old != fault.new, fault
        path, _, name = fault.test.partition("::")
        assert re.search(rf"^def {name}", (ROOT / path).read_text(), re.MULTILINE), fault
