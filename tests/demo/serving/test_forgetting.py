import asyncio
from types import SimpleNamespace

from gradio.routes import file_upload_statuses
from gradio.utils import LRUCache

from demo.serving.forgetting import forget_uploads, forget_visitors


def test_of_many_uploads_the_latest_are_remembered() -> None:
    for number in range(1500):
        file_upload_statuses.track(f"upload-{number}")
    forget_uploads()
    assert len(file_upload_statuses._statuses) == len(file_upload_statuses._signals) == 1000
    assert "upload-1499" in file_upload_statuses._statuses


def test_visitors_who_wait_are_remembered() -> None:
    queue = SimpleNamespace(pending_messages_per_session=LRUCache(2000), pending_event_ids_session={})
    for number in range(1200):
        forget_visitors(queue, f"visitor-{number}")
        queue.pending_messages_per_session[f"visitor-{number}"] = asyncio.Queue()
        queue.pending_event_ids_session[f"visitor-{number}"] = {"an event"} if number % 2 else set()
        # The first one calls now and then.
        forget_visitors(queue, "visitor-1")
    forget_visitors(queue, None)
    assert len(queue.pending_messages_per_session) < 513
    assert "visitor-1" in queue.pending_messages_per_session
    assert "visitor-1199" in queue.pending_messages_per_session
    assert queue.pending_event_ids_session["visitor-1"] == {"an event"}
    assert len(queue.pending_event_ids_session) < 1000
