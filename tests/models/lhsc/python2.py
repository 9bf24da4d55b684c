"""Writes PyTorch files as Python 2.7 and torch 0.4.1 did: pickles of byte strings, no archive."""

import collections
import pickle
import struct

import torch

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SIZES = {"protocol_version": PROTOCOL, "little_endian": True,
         "type_sizes": {"short": 2, "int": 4, "long": 4}}  # fmt: skip
STORAGES = {torch.float32: torch.FloatStorage, torch.int64: torch.LongStorage}


class Storage:
    """Stands for a tensor's values, which follow the pickles."""

    def __init__(self, tensor):
        self.tensor = tensor


class Pickler(pickle._Pickler):
    """Protocol 2 of Python 2: its ``str`` are bytes, its OrderedDict is a list of lists."""

    dispatch = pickle._Pickler.dispatch.copy()

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.storages = {}

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = str(140_000_000 + len(self.storages))
        self.storages[key] = tensor = value.tensor
        return ("storage", STORAGES[tensor.dtype], key, "cuda:0", tensor.numel(), None)

    def reducer_override(self, value):
        """Tensors, as torch 0.4.1 reduced them."""
        if not isinstance(value, torch.Tensor):
            return NotImplemented
        about = (Storage(value), 0, tuple(value.shape), value.stride(), False)
        return torch._utils._rebuild_tensor_v2, (*about, collections.OrderedDict())

    def save_str(self, text):
        """A string of bytes."""
        content = text.encode("ascii")
        short = len(content) < 256
        self.write(pickle.SHORT_BINSTRING if short else pickle.BINSTRING)
        self.write(struct.pack("<B" if short else "<i", len(content)) + content)
        self.memoize(text)

    def save_ordered(self, value):
        """Its items, and its attributes."""
        items = [list(item) for item in value.items()]
        self.save_reduce(collections.OrderedDict, (items,), vars(value) or None, obj=value)

    def save_type(self, value):
        """A class, by its name in the module that torch exported it from."""
        if value in STORAGES.values():
            self.write(f"ctorch\n{value.__name__}\n".encode())
        else:
            self.save_global(value)

    dispatch[str] = save_str
    dispatch[collections.OrderedDict] = save_ordered
    dispatch[type] = save_type
    dispatch[type(torch.FloatStorage)] = save_type


def save(content, path):
    """What ``torch.save(content, path)`` wrote then."""
    with path.open("wb") as file:
        for header in (MAGIC, PROTOCOL, SIZES):
            Pickler(file).dump(header)
        pickler = Pickler(file)
        pickler.dump(content)
        keys = sorted(pickler.storages)
        Pickler(file).dump(keys)
        for key in keys:
            values = pickler.storages[key].contiguous()
            file.write(struct.pack("<q", values.numel()) + values.numpy().tobytes())


def module_state(state):
    """A state as ``Module.state_dict`` gave it: ordered, with a version for each module."""
    ordered = collections.OrderedDict(state)
    modules = sorted({name.rpartition(".")[0] for name in state} | {""})
    ordered._metadata = collections.OrderedDict((name, {"version": 1}) for name in modules)
    return ordered
