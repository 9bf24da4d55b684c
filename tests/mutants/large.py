"""Faults in what is shared by processes, and in what is too large for a matrix."""

from tests.mutants.fault import in_file

SHARE = "tests/test_share.py::"
EXTRACTION = "tests/extraction/test_shares.py::"
KILLED = EXTRACTION + "test_one_of_four_is_killed"
MERGED = EXTRACTION + "test_whoever_finishes_last_merges"
DAMAGED = EXTRACTION + "test_a_damaged_shard_is_removed_and_made_again"
SUMS = EXTRACTION + "test_files_have_their_checksums_in_one_file_at_the_end"
LISTED = EXTRACTION + "test_each_process_lists_what_failed_of_its_own"
PRODUCTS = "tests/evaluation/test_products.py::"
RANKS = PRODUCTS + "test_ranks_need_no_matrix"
ROWS = "tests/evaluation/test_mapped_rows.py::"
SHARDS = "tests/evaluation/test_embedding_shards.py::"
WRITER = "tests/evaluation/test_shard_writer.py::"
ENCODE = "tests/evaluation/test_encode_shards.py::"
VECTORS = "tests/evaluation/test_vectors.py::"
INDEX = "tests/evaluation/test_index_builder.py::"
SEARCHED = "tests/evaluation/test_vector_index.py::"
GRU = "tests/models/common/test_position_gru.py::test_equals_torch"
GALLERY = "tests/display/test_gallery.py::"

LARGE = [
    *in_file(
        "lib/share.py",
        ("return pieces[self.rank :: self.world_size]", "return pieces", SHARE + "test_torchrun_comes_before_slurm"),
        ("for names in (TORCHRUN, SLURM):", "for names in (SLURM, TORCHRUN):", SHARE + "test_torchrun_comes_before_slurm"),
        ("if rank_ >= max(size_, 1):", "if rank_ > max(size_, 1):", SHARE + "test_what_makes_no_sense"),
        ("size = batch_size * max(1, min(most // batch_size, batches // LEAST_SHARDS))", "size = batch_size * max(1, most // batch_size)", SHARE + "test_shards_are_whole_batches_in_order"),
    ),
    *in_file(
        "lib/extraction/runner.py",
        ("shards, size = job.share.of(shards_of(len(image_ids), job.batch_size, SHARD)), job.batch_size", "shards, size = shards_of(len(image_ids), job.batch_size, SHARD), job.batch_size", MERGED),
        ("output.finish_shard(shard)  # its last image was written, and then a kill came", "pass", "tests/extraction/test_array_output.py::test_killed_before_its_last_shard"),
        ("return not ours or image_id in others.get(split, ())", "return not ours", LISTED),
        ("held.enter_context(shared(job.data, name, job.share))", "held.enter_context(exclusive(job.data, name))", KILLED),
        ("if problem and job.share.alone:", "if problem:", LISTED),
    ),
    *in_file(
        "lib/extraction/file_output.py",
        ("for path in self._all_sums() if not pending else ():  # nothing is left to add", "for path in self._all_sums():", SUMS),
        ("self._own_sums = self.sums if share.alone", "self._own_sums = self.sums if not share.alone", SUMS),
    ),
    *in_file(
        "lib/extraction/array_output.py",
        ("sums_files = False  # shards have those of their format", "sums_files = True", "tests/extraction/test_array_output.py::test_pictures_of_an_unfinished_shard_stay"),
        ("path.unlink()", "pass", DAMAGED),
        ("if not self.complete and not self.folder.is_dir():  # others have merged it meanwhile", "if False:", EXTRACTION + "test_a_split_that_others_have_merged_meanwhile"),
        ("yield from stack[max(0, first - numbers.start) :]", "yield from stack", "tests/extraction/test_array_output.py::test_a_merge_goes_on_within_a_shard"),
        ("if overwrite and not share.alone:  # one that starts late would undo what others finished", "if False:", EXTRACTION + "test_several_processes_do_not_overwrite"),
    ),
    *in_file(
        "lib/evaluation/products.py",
        ("found[:, self.absent[others]] = -np.inf", "pass", PRODUCTS + "test_captions_that_there_are_not"),
        ("if self._last is not None and self._last[0] == place:  # a small matrix is one block", "if self._last is not None:", RANKS),
        ("total = total + part", "total = part", PRODUCTS + "test_a_mean_in_blocks"),
    ),
    *in_file(
        "lib/evaluation/metrics.py",
        ("here = np.flatnonzero((of >= some.start) & (of < some.stop))", "here = np.flatnonzero(of >= some.start)", RANKS),
        ("if len(kept) < KEPT:", "if not kept:", PRODUCTS + "test_blocks_are_all_that_is_asked_for"),
        ("inside = block[_from(part, some.start), _from(cut, others.start)]", "inside = block", RANKS),
        ("pieces = max(THREADS, -(-len(inside) // CHUNK_ROWS))", "pieces = 1", "tests/evaluation/test_metrics.py::test_blocks_of_more_rows_than_a_byte_counts"),
    ),
    *in_file(
        "lib/evaluation/extras.py",
        ("inside = reaching[max(top - part.start, 0) : max(end - part.start, 0), cut]", "inside = reaching[max(top - part.start, 0) : max(end - part.start, 0)]", "tests/evaluation/test_extras.py::test_twins_join_the_gallery_of_their_fold"),
    ),
    *in_file(
        "lib/evaluation/mapped_rows.py",
        ("found[chosen] = self._map(file)[numbers[chosen] - self.starts[file]]", "found[chosen] = self._map(file)[numbers[chosen] % 4]", ROWS + "test_files_need_not_be_equally_long"),
    ),
    *in_file(
        "lib/evaluation/embedding_shards.py",
        ('if checksum_of(found["ids_sha256"], self.shards) != self.checksum or not counts:', "if not counts:", SHARDS + "test_what_was_changed_is_refused"),
        ('if self.ids.sha256() != found["ids_sha256"] or len(self.ids) != len(self.images):', "if False:", SHARDS + "test_what_was_changed_is_refused"),
    ),
    *in_file(
        "lib/evaluation/shard_writer.py",
        ("if not array.is_file() or file_sha256(array) != found[side]:", "if not array.is_file():", WRITER + "test_a_damaged_shard_is_made_anew"),
        ("require_replaceable_folder(wanted, lambda: origin, folder)", "pass", WRITER + "test_only_the_same_evaluation_is_replaced"),
        ("if not np.isfinite(rows).all():", "if False:", WRITER + "test_broken_vectors_are_refused"),
        ("if theirs is None and (found or (is_shards(folder) and (folder / IDS).is_file())):", "if theirs is None and is_shards(folder):", WRITER + "test_only_the_same_evaluation_is_replaced"),
        ('_require_no_other(folder, found, self.about["key"])', "pass", ENCODE + "test_finished_embeddings_are_kept"),
    ),
    *in_file(
        "lib/evaluation/encode_shards.py",
        ("if not folder.is_dir():", "if True:", ENCODE + "test_a_folder_is_another_once_its_weights_are"),
        ("own = keep.share.of(writer.shards)", "own = list(writer.shards)", ENCODE + "test_processes_share_the_shards"),
        ("missing = [shard for shard in own if not writer.is_done(shard)]", "missing = list(own)", ENCODE + "test_killed_and_resumed_by_another_number"),
        ('"checkpoint": identity_of(path),', "", GALLERY + "test_a_gallery_is_encoded_once"),
        ("with shared(keep.folder, \"encoding\", keep.share):", "if True:", ENCODE + "test_what_another_launch_is_writing_stays"),
        ('"files": split.files_sha256(),', "", GALLERY + "test_what_changed_on_the_disk_is_encoded_again"),
        ('"precision": target.precision,', "", GALLERY + "test_embeddings_in_shards_stand_for_encodings"),
    ),
    *in_file(
        "lib/data/split.py",
        ("if there or not (pictures_alone and ids_path.is_file()):", "if not pictures_alone:", "tests/data/test_split.py::test_pictures_alone"),
    ),
    *in_file(
        "lib/evaluation/arguments.py",
        ("pictures_alone=not any(figures)", "pictures_alone=True", ENCODE + "test_pictures_alone_are_embedded_and_not_scored"),
    ),
    *in_file(
        "lib/display/gallery.py",
        ("return Vectors(folder, How(exact)), Embeddings(_Tensors(shards.images), captions)", "return Vectors(folder), Embeddings(_Tensors(shards.images), captions)", GALLERY + "test_embeddings_in_shards_stand_for_encodings"),
        ("return range(0)", "pass", GALLERY + "test_pictures_alone"),
    ),
    *in_file(
        "lib/evaluation/vectors.py",
        ("if any(len(two) == 2 and not two & {UNKNOWN, None} for two in both):", "if False:", "tests/evaluation/test_search.py::test_embeddings_that_do_not_suit"),
        ("some = np.flatnonzero(scores >= least)", "some = np.flatnonzero(scores > least)", VECTORS + "test_equal_scores_stand_in_their_order"),
        ("own = np.broadcast_to(np.arange(start, start + len(block)), found.shape)", "own = np.broadcast_to(np.arange(len(block)), found.shape)", VECTORS + "test_equal_scores_stand_in_their_order"),
        ("if has_index(path) and not how.exact:", "if has_index(path):", SEARCHED + "test_it_is_used_where_it_is"),
    ),
    *in_file(
        "lib/evaluation/search.py",
        ("return [sorted(result, key=lambda found: -found.score)[:k] for result in results]", "return [result[:k] for result in results]", VECTORS + "test_files_and_folders_together"),
    ),
    *in_file(
        "lib/evaluation/evaluator.py",
        ("return resolve_device(name) if keep is None else local_device(name, keep.share.local_rank)", "return local_device(name, 0 if keep is None else keep.share.local_rank)", "tests/evaluation/test_evaluator.py::test_each_process_has_its_gpu"),
    ),
    *in_file(
        "scripts/search.py",
        ("if asked and all(one.index is None for one in vectors):", "if False:", "tests/evaluation/test_search.py::test_embeddings_that_do_not_suit"),
        ("if args.exact and asked:", "if False:", "tests/evaluation/test_search.py::test_embeddings_that_do_not_suit"),
        ("how = How(args.exact, args.probes or PROBES, args.candidates or CANDIDATES)", "how = How()", "tests/evaluation/test_search.py::test_how_an_index_is_searched"),
    ),
    *in_file(
        "scripts/explore.py",
        ("args.embeddings, args.exact)", "args.embeddings)", "tests/scripts/test_explore.py::test_the_index_is_left_out_if_asked"),
    ),
    *in_file(
        "lib/evaluation/intervals.py",
        ("most = max(1, min(CHUNK, COUNTS // images))", "most = CHUNK", "tests/evaluation/test_intervals.py::test_no_more_counts_are_held_than_the_memory_for_them"),
    ),
    *in_file(
        "scripts/detect_objects.py",
        ('with shared(args.data, f"{out.stem}.detecting", job.share):', "if True:", "tests/scripts/test_detect_objects.py::test_launches_over_other_splits_do_not_share_a_file"),
    ),
    *in_file(
        "lib/evaluation/index_builder.py",
        ("if free < needed:", "if False:", INDEX + "test_a_disk_without_room_is_told"),
        ("with shared(folder, \"building\", share):", "if True:", INDEX + "test_what_another_launch_is_building_stays"),
        ("if problem := shards.damaged(number):", "if problem := None:", INDEX + "test_damaged_embeddings_are_not_indexed"),
        ("for number in share.of(numbers):", "for number in numbers:", INDEX + "test_processes_build_the_same"),
    ),
    *in_file(
        "lib/evaluation/index_folder.py",
        ("os.dup2(nowhere, 1)", "pass", SEARCHED + "test_nothing_is_printed_by_faiss"),
    ),
    *in_file(
        "lib/evaluation/vector_index.py",
        ("if theirs != shards.checksum:", "if False:", INDEX + "test_an_index_of_other_embeddings_is_refused"),
        ("if size is None or size != sizes.get(name):", "if False:", SEARCHED + "test_a_file_that_was_cut_short_is_refused"),
        ("own = np.sort(candidates[candidates >= 0])", "own = np.sort(candidates)", SEARCHED + "test_the_best_of_all_lists_are_the_exact_ones"),
        ("self.lists.nprobe = self.probes", "self.lists.nprobe = 1", SEARCHED + "test_the_best_of_all_lists_are_the_exact_ones"),
    ),
    *in_file(
        "lib/evaluation/saved_embeddings.py",
        ('embeddings = "images" in file.keys()  # noqa: SIM118', "embeddings = True", "tests/evaluation/test_saved_embeddings.py::test_embeddings_are_as_good_as_scores"),
    ),
    *in_file(
        "lib/models/common/position_gru.py",
        ("after *= both[:, width:]", "after *= both[:, :width]", GRU),
        ("here *= update[k, :m]", "here *= 1", GRU),
        ("to_reset = recurrent * reset * (1 - reset)", "to_reset = recurrent * reset", GRU),
        ("arriving[:, 0] = half.sum(axis=0)", "arriving[:, 0] = half[0]", GRU),
    ),
    *in_file(
        "lib/demo/both.py",
        ('"--overwrite" if overwrite else "--resume"', '"--overwrite"', "tests/demo/test_both.py::test_both_get_their_settings"),
        ("if threads == 1:  # a loading process would take its core from the training", "if False:", "tests/demo/test_both.py::test_both_get_their_settings"),
        ('words += [f"run.out={run}", *SCHEDULES[features], *overrides]', 'words += [f"run.out={run}", *overrides, *SCHEDULES[features]]', "tests/demo/test_both.py::test_both_get_their_settings"),
    ),
    *in_file(
        "lib/jobs.py",
        ("signal.signal(signum, handler)", "pass", "tests/demo/test_both.py::test_a_failure_ends_both"),
        ('print(f"{title}: {line.decode(errors=\'replace\').rstrip()}", flush=True)', "pass", "tests/demo/test_both.py::test_a_failure_ends_both"),
    ),
    *in_file(
        "lib/outputs.py",
        ("descriptor = _locked(lock, wait=False)", "descriptor = None", "tests/test_outputs.py::test_a_share_beside_its_launch_alone"),
        ("elif (size := int(found[1] or 1)) != share.world_size:", "elif (size := int(found[1] or 1)) > share.world_size:", "tests/test_outputs.py::test_a_share_beside_its_launch_alone"),
    ),
    *in_file(
        "lib/files.py",
        ('if machine not in ("", MACHINE):  # earlier versions named none', "if False:", "tests/test_files.py::test_temporary_files_of_other_machines_are_left_for_a_day"),
    ),
]  # fmt: skip
