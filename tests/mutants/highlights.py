"""Faults in what shows what the models look at."""

from tests.mutants.fault import in_file

MAPS = "tests/models/threeshnet/test_highlights.py::"
SUM = MAPS + "test_the_score_is_the_sum_of_what_each_part_adds"
GPO = "tests/models/common/test_gpo.py::test_the_weights_by_row_pool_what_is_pooled"
UNTOUCHED = "tests/models/common/test_explanation.py::test_encoding_and_scoring_know_nothing_of_it"
SHAPES = "tests/models/common/test_explanation.py::test_the_shapes_are_those_that_are_documented"
VSPM = "tests/models/threeshnet/test_vspm.py::test_the_attention_that_is_shown_is_what_is_computed"
VSEM = "tests/models/threeshnet/test_vsem.py::test_it_is_the_plain_form"
PAPER = "tests/models/cmsei/test_interaction.py::test_the_attention_that_is_shown_is_the_paper_s"
LHSC = "tests/models/lhsc/test_similarity.py::test_the_attention_that_is_shown_is_what_attends"
GALLERY = "tests/display/test_gallery.py::"
APP = "tests/display/test_app.py::"
GUARD = "tests/display/test_guard.py::"
OVERLAY = "tests/display/test_overlay.py::"
PLACES = "tests/display/test_places.py::"
COMPARED = "tests/display/test_comparison.py::"

HIGHLIGHTS = [
    *in_file(
        "lib/models/common/gpo.py",
        ("lines.argsort(dim=1, descending=True", "lines.argsort(dim=1, descending=False", GPO),
    ),
    *in_file(
        "lib/models/common/retrieval_model.py",
        ("            self.train(was_training)", "            pass", UNTOUCHED),
        ("        self.eval()", "        self.train()", UNTOUCHED),
    ),
    *in_file(
        "lib/models/threeshnet/highlights.py",
        ("weighed.sum(dim=1).norm(dim=-1, keepdim=True)", "weighed.norm(dim=-1)", SUM),
        ("parts[REGIONS] + parts.get(HIGHLIGHTED, 0)", "parts[REGIONS]", SUM),
        ("(CATEGORIES, REGIONS, HIGHLIGHTED, CELLS)", "(REGIONS, CATEGORIES, HIGHLIGHTED, CELLS)", SUM),
        ("parts[CELLS].unflatten(1, (side, side))", "parts[CELLS].unflatten(1, (side, side)).mT", MAPS + "test_a_cell_is_where_it_is_in_the_segmentation"),
    ),
    *in_file(
        "lib/models/threeshnet/vsem.py",
        ("return agreement.squeeze(-1).float().sigmoid() * mask", "return agreement.squeeze(-1).float().sigmoid()", VSEM),
    ),
    *in_file(
        "lib/models/threeshnet/vspm.py",
        ("logits.float().softmax(dim=-1) * mask[..., None]", "logits.float().softmax(dim=1) * mask[..., None]", VSPM),
        ("keys = (patches @ labels + positions).relu()", "keys = patches @ labels + positions", VSPM),
    ),
    *in_file(
        "lib/models/cmsei/interaction.py",
        ("rows, weights = self._round(number, rows, one, other)", "_, weights = self._round(number, rows, one, other)", PAPER),
        ("found[number].append(weights.float() * one.mask[..., None])", "found[number].append(weights.float())", SHAPES),
    ),
    *in_file(
        "lib/models/lhsc/similarity.py",
        ("torch.cat(pairs) * words.mask[..., None]", "torch.cat(pairs)", SHAPES),
        ("self._attention(images[i : i + 1], words[i : i + 1])", "self._attention(images[:1], words[i : i + 1])", LHSC),
    ),
    *in_file(
        "lib/display/encodings.py",
        ("if path.exists() and _key_of(path) == key:", "if path.exists():", GALLERY + "test_a_gallery_is_encoded_once"),
    ),
    *in_file(
        "lib/display/gallery.py",
    ),
    *in_file(
        "lib/display/app.py",
        ("        number_of(first, image_id)", "        pass", APP + "test_no_picture_of_another_split"),
        ("        if region >= count:", "        if False:", APP + "test_requests_that_make_no_sense"),
    ),
    *in_file(
        "lib/display/guard.py",
        ('if "*" not in hosts and _host_of(request) not in hosts:', "if False:", GUARD + "test_another_host_s_name_is_refused"),
    ),
    *in_file(
        "lib/display/overlay.py",
        ("np.argsort(np.abs(strength), kind", "np.argsort(-np.abs(strength), kind", OVERLAY + "test_the_strongest_region_is_on_top"),
    ),
    *in_file(
        "lib/display/places.py",
        ("boxes / (width, height, width, height)", "boxes / (height, width, height, width)", PLACES + "test_boxes_of_regions"),
        ("np.divmod(np.arange(regions), columns)", "np.divmod(np.arange(regions), rows)", PLACES + "test_cells_of_grids"),
    ),
    *in_file(
        "lib/display/comparison.py",
        ("            low = cut + 1", "            low = cut", COMPARED + "test_recall_by_length_covers_every_query_once"),
        ("chosen.setdefault(query // CAPTIONS_PER_IMAGE, query)", "chosen.setdefault(query, query)", COMPARED + "test_best_and_worst_queries"),
    ),
]  # fmt: skip
