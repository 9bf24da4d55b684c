"""Learning curves as TensorBoard has them; what a resumed run did again counts."""

from torch.utils.tensorboard import SummaryWriter

from lib.display.curves import draw_curves, read_curves


def write(folder, points, start):
    writer = SummaryWriter(folder, purge_step=start)
    for step, value in points.items():
        writer.add_scalar("loss", value, step)
        writer.add_scalar("rate/image", 0.1, step)
    writer.close()


def test_a_resumed_run_s_curve_is_one(tmp_path):
    write(tmp_path, {1: 4.0, 2: 3.0, 3: 9.0}, 0)
    (first,) = tmp_path.iterdir()  # of an earlier second, as a resumed run's is; names are sorted
    first.rename(tmp_path / "events.out.tfevents.1000000000.first")
    write(tmp_path, {3: 2.0, 4: 1.0}, 3)
    assert read_curves(tmp_path) == {"loss": ([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0])}


def test_no_folder_no_curves(tmp_path):
    assert read_curves(tmp_path / "none") == {}
    assert read_curves(tmp_path) == {}


def test_a_drawing_is_one_element_that_names_the_runs():
    svg = draw_curves("loss", {"a <run>": ([1, 2], [3.0, 1.0]), "b": ([1, 2], [2.0, 2.0])})
    assert svg.startswith("<svg")
    assert svg.count("<svg") == svg.count("</svg>") == 1
    assert "<run>" not in svg
