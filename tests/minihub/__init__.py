"""A small, strict Hugging Face Hub on 127.0.0.1, for tests with the real clients.

Written from the client's side of the protocol (huggingface_hub 2.4.0), so its rules are inferred: a pass here is no
proof for the real Hub. Two sockets: the Hub (API, `/resolve`) and an object store that plays S3 and the CDN. LFS bytes
go there through signed URLs. It is another origin, so a client has to drop its token on the way: the store answers 400
to a request that carries one.

Not here: git clone/push, merging pull requests, gated repositories, the dataset viewer, building Spaces.
"""
