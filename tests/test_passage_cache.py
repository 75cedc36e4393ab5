"""States on disk: kept, checked, bounded, and never trusted when they are not what was written."""

import os
import threading

import pytest

from fieldguide.generation.passage_cache import PassageCache

STATE = bytes(range(256)) * 8


@pytest.fixture
def cache(tmp_path):
    return PassageCache(tmp_path / "cache", 100_000)


def key(*tokens: int, made_by="model") -> str:
    return PassageCache.key(made_by, (1, 2, 3), tokens)


def only_file(cache):
    (path,) = cache._folder.iterdir()
    return path


def test_a_state_comes_back_as_it_was_put(cache):
    cache.put(key(7), STATE)
    assert cache.get(key(7)) == STATE
    assert key(7) in cache


def test_a_state_is_there_for_the_next_process(cache):
    cache.put(key(7), STATE)
    assert PassageCache(cache._folder, 100_000).get(key(7)) == STATE


def test_what_was_never_put_is_not_there(cache):
    cache.put(key(7), STATE)
    assert cache.get(key(8)) is None
    assert key(8) not in cache


@pytest.mark.parametrize(
    "other",
    [
        PassageCache.key("other model", (1, 2, 3), (7,)),
        PassageCache.key("model", (1, 2), (3, 7)),
        PassageCache.key("model", (1, 2, 3, 7)),
        PassageCache.key("model", (7,), (1, 2, 3)),
    ],
)
def test_other_weights_another_beginning_or_another_cut_have_another_name(other):
    assert other != key(7)


@pytest.mark.parametrize("position", [0, 3, 20, 38, 39, 500, 2086])
def test_a_flipped_byte_is_noticed_and_the_file_removed(cache, position):
    cache.put(key(7), STATE)
    data = bytearray(only_file(cache).read_bytes())
    data[position] ^= 1
    only_file(cache).write_bytes(data)
    assert cache.get(key(7)) is None
    assert key(7) not in cache


@pytest.mark.parametrize("length", [0, 5, 40, 1000])
def test_a_file_cut_short_is_noticed(cache, length):
    cache.put(key(7), STATE)
    os.truncate(only_file(cache), length)
    assert cache.get(key(7)) is None


def test_those_used_longest_ago_go_first(cache, tmp_path):
    small = PassageCache(tmp_path / "small", 3 * (len(STATE) + 39))
    for number in range(3):
        small.put(key(number), STATE)
        os.utime(small._path(key(number)), (1000 + number, 1000 + number))
    small.get(key(0))  # used now
    small.put(key(3), STATE)
    assert [number for number in range(4) if key(number) in small] == [0, 2, 3]


def test_the_folder_never_grows_beyond_its_limit(tmp_path):
    small = PassageCache(tmp_path, 10_000)
    for number in range(20):
        small.put(key(number), STATE)
        assert small.size <= 10_000
    assert small.size > 5_000


def test_a_state_larger_than_the_limit_is_not_kept_and_costs_no_other(tmp_path):
    small = PassageCache(tmp_path, 5_000)
    small.put(key(1), STATE)
    small.put(key(2), STATE * 4)
    assert small.get(key(1)) == STATE
    assert key(2) not in small


def test_a_folder_that_cannot_be_written_keeps_nothing_and_breaks_nothing(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = PassageCache(tmp_path / "cache", 100_000)
    cache.put(key(7), STATE)
    assert cache.get(key(7)) is None
    assert cache.size == 0


def test_a_full_disk_leaves_no_unfinished_file(cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache.put(key(7), STATE)
    assert list(cache._folder.iterdir()) == []


def test_writers_beside_each_other_leave_whole_files(cache):
    def write(value: int):
        for number in range(30):
            cache.put(key(number % 5), bytes([value]) * 2000)

    writers = [threading.Thread(target=write, args=(value,)) for value in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    for number in range(5):
        state = cache.get(key(number))
        assert state in [bytes([value]) * 2000 for value in range(4)]


def test_it_is_nearly_full_before_the_first_state_would_have_to_go(tmp_path):
    small = PassageCache(tmp_path, 10_000)
    for number in range(4):
        assert not small.is_nearly_full
        small.put(key(number), STATE[:1900] + bytes(500))
    assert small.is_nearly_full
    assert all(key(number) in small for number in range(4))


def test_clearing_removes_everything(cache):
    cache.put(key(7), STATE)
    assert cache.clear() == len(STATE) + 39
    assert cache.get(key(7)) is None
    assert cache.size == 0
