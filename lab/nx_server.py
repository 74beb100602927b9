"""nx-27017, run by .deps/mongo/nx, with what its 0.8.1 does wrong to binary values put right: it forgets their subtype,
and cannot replace a document by one that holds some."""

from neosqlite.binary import Binary
from neosqlite.collection.query_helper import _convert_bytes_to_binary, crud_operations
from nx_27017.nx_27017 import main

new = Binary.__new__
dumps = crud_operations.neosqlite_json_dumps

Binary.__new__ = lambda cls, data, subtype=None: new(
    cls, data, getattr(data, "subtype", 0) if subtype is None else subtype
)
Binary._type_marker = 5  # how pymongo's encoder knows bson.Binary, whose subtype it writes
crud_operations.neosqlite_json_dumps = lambda document: dumps(_convert_bytes_to_binary(document))

if __name__ == "__main__":
    main()
