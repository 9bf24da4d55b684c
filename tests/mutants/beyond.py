"""Faults in what goes beyond the papers: benchmarks, intervals, noise, models of the hub."""

from tests.mutants.fault import in_file

MANY = "tests/evaluation/test_correspondence.py::"
PLAIN = MANY + "test_equal_to_plain_loops_and_to_the_package"
TIES = MANY + "test_ties_count_against_the_model"
BENCH = "tests/evaluation/test_benchmarks.py::"
BOOT = "tests/evaluation/test_intervals.py::"
EXTRAS = "tests/evaluation/test_extras.py::"
TWINS = EXTRAS + "test_twins_join_the_gallery_of_their_fold"
WORDS = "tests/evaluation/test_perturbations.py::"
LOSS = "tests/training/test_losses.py::test_info_nce_equals_a_plain_loop"
OPTIM = "tests/training/test_optim.py::test_a_temperature_learns_without_decay_and_comes_back"
NOISE = "tests/data/test_noise.py::"
SHARE = NOISE + "test_a_share_has_other_images_and_every_image_as_many_captions"
CLIP = "tests/models/clip/test_model.py::"
ROW = CLIP + "test_the_row_is_that_of_transformers_scores"
IDS = "tests/models/clip/test_tokenizer.py::test_ids_are_the_processors"
FOLDER = "tests/test_portable.py::"
CHANGED = FOLDER + "test_what_was_changed_is_refused"
PUSH = "tests/scripts/test_push_to_hub.py::"

BEYOND = [
    *in_file(
        "lib/evaluation/correspondence.py",
        ('np.searchsorted(ordered, own, "left")', 'np.searchsorted(ordered, own, "right")', TIES),
        ("found[span] = len(ordered)  # behind all, for what is not there", "found[span] = 0", MANY + "test_an_answer_that_no_gallery_holds_counts"),
        ("row[query] = -np.inf", "pass", MANY + "test_a_query_may_stay_out_of_its_own_answers"),
        ("(answer + 1) / (places + 1), 0.0)", "1 / (places + 1), 0.0)", PLAIN),
        ("within = places < np.repeat(counts, counts)", "within = places <= np.repeat(counts, counts)", PLAIN),
        ("at_least - of_these + np.arange(len(own))", "at_least - 1", TIES),
    ),
    *in_file(
        "lib/evaluation/benchmarks.py",
        ("[gallery.get(one, -1) for one in dict.fromkeys(right)]", "[gallery[one] for one in dict.fromkeys(right) if one in gallery]", BENCH + "test_equal_to_a_plain_loop"),
        ("[gallery.get(one, -1) for one in dict.fromkeys(right)]", "[gallery.get(one, -1) for one in right]", BENCH + "test_equal_to_a_plain_loop"),
        ("LEAST_RATING = 3.0", "LEAST_RATING = 2.5", BENCH + "test_pictures_among_pictures_and_captions_among_captions"),
        ("for query, answer in (pair, pair[::-1]):", "for query, answer in (pair,):", BENCH + "test_pictures_among_pictures_and_captions_among_captions"),
        ("for caption in sorted(own[image])]", "for caption in own[image][::-1]]", BENCH + "test_equal_to_a_plain_loop"),
        ("if sorted(part) != sorted(own[image]):", "if False:", BENCH + "test_what_does_not_belong_is_refused"),
    ),
    *in_file(
        "lib/evaluation/intervals.py",
        ("tail = (100 - level) / 2", "tail = 100 - level", BOOT + "test_equal_to_a_plain_bootstrap"),
        ("drawn += images * np.arange(size)[:, None]", "drawn += 0", BOOT + "test_equal_to_a_plain_bootstrap"),
        ("as_large = np.ones(FIGURES)", "as_large = np.zeros(FIGURES)", BOOT + "test_a_paired_test_equal_to_a_plain_one"),
        ("np.abs(signs @ moving)", "(signs @ moving)", BOOT + "test_a_paired_test_equal_to_a_plain_one"),
        ("t2i.reshape(-1, CAPTIONS_PER_IMAGE)", "t2i.reshape(CAPTIONS_PER_IMAGE, -1).T", BOOT + "test_their_mean_is_the_figures"),
        ("if p < alpha:", "if p > alpha:", BOOT + "test_equal_models_do_not_differ_and_better_ones_do"),
    ),
    *in_file(
        "lib/evaluation/extras.py",
        ("block >= best[part, None]", "block > best[part, None] + 0.1", TWINS),
        ("count[top - fold.start : end - fold.start] += inside.sum(axis=1)", "count[:] = 0", TWINS),
    ),
    *in_file(
        "lib/evaluation/perturbations.py",
        ("and _stem(word) not in own", "", WORDS + "test_one_word_goes_for_one_that_the_image_has_not"),
        ("np.random.default_rng((seed, number))", "np.random.default_rng(number)", WORDS + "test_a_seed_draws_the_same_again"),
        ("word.capitalize() if old[start].isupper() else word", "word", WORDS + "test_one_word_goes_for_one_that_the_image_has_not"),
    ),
    *in_file(
        "lib/training/losses.py",
        ("for side in (logits, logits.T))", "for side in (logits, logits))", LOSS),
        ("same & (target[:, None] != target)", "same", LOSS),
        ('target, reduction="sum")', 'target, reduction="mean")', LOSS),
        ("self.log_scale.clamp_(max=math.log(LARGEST_SCALE))", "pass", "tests/training/test_losses.py::test_info_nce_of_one_pair_costs_nothing_and_its_scale_ends"),
    ),
    *in_file(
        "lib/training/optim.py",
        ('"weight_decay": 0.0', '"weight_decay": 0.1', OPTIM),
    ),
    *in_file(
        "lib/training/loop.py",
        ('training["loss"] = state', "pass", "tests/training/test_signals.py::test_stopped_and_resumed_equals_uninterrupted"),
    ),
    *in_file(
        "lib/data/noise.py",
        ("np.roll(ordered, -CAPTIONS_PER_IMAGE)", "np.roll(ordered, -1)", SHARE),
        ("default_rng((seed, STREAM))", "default_rng(STREAM)", SHARE),
    ),
    *in_file(
        "lib/models/clip/model.py",
        ('network.config.model_type == "siglip"', "False", ROW),
        ("value=self.padding_id)", "value=self.padding_id + 1)", CLIP + "test_batches_change_nothing"),
    ),
    *in_file(
        "lib/models/clip/tokenizer.py",
        ("tuple(full[:start]), tuple(full[start + len(bare) :])", "(), tuple(full[start + len(bare) :])", IDS),
    ),
    *in_file(
        "lib/portable.py",
        ("if file_sha256(folder / file) != expected:", "if False:", CHANGED),
        ("if not _is_inside(file):", "if False:", CHANGED),
        ('sections["data"]["root"] = "data"', "pass", FOLDER + "test_absolute_paths_lose_their_folders"),
    ),
    *in_file(
        "scripts/push_to_hub.py",
        ("keeps = is_edited(folder) and not args.new_card", "keeps = False", PUSH + "test_a_dry_run_writes_and_asks_nobody"),
        ("if len(record.members) > 1 or not _is_same(theirs, own):", "if False:", PUSH + "test_results_of_other_weights_are_not_its_own"),
    ),
]  # fmt: skip
