"""The hub's own client against the stand-in: what it takes and refuses must be what the hub does.

Arguments: endpoint, a token that opens what is private. Prints "ok" and the number of checks.
"""
import hashlib
import os
import sys

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError,
                                    RevisionNotFoundError)

endpoint, token = sys.argv[1:3]
anonymous, api = HfApi(endpoint, token=False), HfApi(endpoint, token=token)
checks = 0


def same(got, want):
    global checks
    checks += 1
    if got != want:
        raise SystemExit("check %d: got %r, want %r" % (checks, got, want))


def refused(kind, call, *args, **kwargs):
    global checks
    checks += 1
    try:
        call(*args, **kwargs)
    except kind as e:
        if type(e) is not kind and kind is HfHubHTTPError:
            raise SystemExit("check %d: %r" % (checks, e))
        if not e.request_id:
            raise SystemExit("check %d: no request id" % checks)
        return
    raise SystemExit("check %d: not refused" % checks)


repo, kind = "org/data", "dataset"
info = anonymous.dataset_info(repo)
commits = anonymous.list_repo_commits(repo, repo_type=kind)
same([c.title for c in commits], ["Commit %d" % i for i in range(53, 0, -1)])
same(info.sha, commits[0].commit_id)
same(info.last_modified, commits[0].created_at)
same(anonymous.dataset_info(repo, revision="refs/pr/1").sha != info.sha, True)
first = commits[-1].commit_id
same([f.path for f in anonymous.list_repo_tree(repo, repo_type=kind, revision=first, recursive=True)], ["README.md"])

tree = list(anonymous.list_repo_tree(repo, repo_type=kind, recursive=True))
files = {f.path: f for f in tree if hasattr(f, "blob_id")}
same(len(files), 29)
same(sorted(f.path for f in tree if not hasattr(f, "blob_id")), ["many", "sub", "sub/b c"])
same(sorted(f.path for f in anonymous.list_repo_tree(repo, repo_type=kind)), ["README.md", "big.bin", "many", "sub", "xet.bin"])
same([f.path for f in anonymous.list_repo_tree(repo, "sub/b c", repo_type=kind)], ["sub/b c/\u00fc+%41.txt"])
same(files["README.md"].lfs, None)
same(files["big.bin"].size, files["big.bin"].lfs.size)
same([bool(files[n].xet_hash) for n in ("big.bin", "xet.bin")], [False, True])
expanded = {f.path: f for f in anonymous.list_repo_tree(repo, repo_type=kind, recursive=True, expand=True)}
same(set(expanded), {f.path for f in tree})
same(expanded["README.md"].last_commit.oid in {c.commit_id for c in commits}, True)
same([f.path for f in anonymous.get_paths_info(repo, ["README.md", "sub", "none"], repo_type=kind, expand=True)], ["README.md", "sub"])

home = os.environ["HF_HOME"]
for name, f in files.items():
    if name.startswith("many/"):
        continue
    path = anonymous.hf_hub_download(repo, name, repo_type=kind, cache_dir=home)
    content = open(path, "rb").read()
    same(len(content), f.size)
    if f.lfs:
        same(hashlib.sha256(content).hexdigest(), f.lfs.sha256)
    else:
        same(hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(), f.blob_id)
    meta = anonymous.get_hf_file_metadata(url="%s/datasets/%s/resolve/main/%s" % (endpoint, repo, __import__("urllib.parse").parse.quote(name)))
    same((meta.commit_hash, meta.etag, meta.size), (info.sha, f.lfs.sha256 if f.lfs else f.blob_id, f.size))
same(open(anonymous.hf_hub_download(repo, "README.md", repo_type=kind, revision=first, cache_dir=home)).read(), "first")
same(sorted(os.listdir(snapshot_download("org/model", endpoint=endpoint, token=False, cache_dir=home))), ["config.json"])
same(open(anonymous.hf_hub_download("org/app", "app.py", repo_type="space", cache_dir=home)).read(), "print()")
same(open(anonymous.hf_hub_download("org/was", "config.json", cache_dir=home)).read(), "{}")

refused(EntryNotFoundError, anonymous.hf_hub_download, repo, "none", repo_type=kind, cache_dir=home)
refused(EntryNotFoundError, lambda: list(anonymous.list_repo_tree(repo, "none", repo_type=kind)))
refused(RevisionNotFoundError, anonymous.dataset_info, repo, revision="none")
refused(RevisionNotFoundError, lambda: list(anonymous.list_repo_tree(repo, repo_type=kind, revision="none")))
for who in (anonymous, api):
    refused(RepositoryNotFoundError, who.dataset_info, "org/none")
    refused(RepositoryNotFoundError, who.model_info, repo)
refused(RepositoryNotFoundError, anonymous.dataset_info, "org/private")
refused(HfHubHTTPError, HfApi(endpoint, token="hf_unknown").dataset_info, repo)
same(open(api.hf_hub_download("org/private", "x", repo_type=kind, cache_dir=home)).read(), "private")
same(len(open(api.hf_hub_download("org/private", "large", repo_type=kind, cache_dir=home), "rb").read()), 5000)
same(len(list(anonymous.list_repo_tree("org/gated", repo_type=kind))), 1)
refused(GatedRepoError, anonymous.auth_check, "org/gated", repo_type=kind)
refused(GatedRepoError, anonymous.hf_hub_download, "org/gated", "x", repo_type=kind, cache_dir=home)
refused(GatedRepoError, HfApi(endpoint, token="hf_other").hf_hub_download, "org/gated", "x", repo_type=kind, cache_dir=home)
refused(RepositoryNotFoundError, HfApi(endpoint, token="hf_other").dataset_info, "org/private")
api.auth_check("org/gated", repo_type=kind)
same(open(api.hf_hub_download("org/gated", "x", repo_type=kind, cache_dir=home)).read(), "gated")
print("ok", checks)
