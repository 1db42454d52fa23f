"""What Gradio would remember for ever, or forget too early.

It keeps a note of every upload, and of every visitor who called and never fetched the answer. Answers themselves it
keeps for two thousand visitors, the earliest comer's being the first to go although he may be waiting for it.
"""

from typing import Any

from gradio.routes import file_upload_statuses

_NOTES = 1000
_ANSWERS = 512


def forget_uploads() -> None:
    """Forgets the earliest notes of uploads, when there are many."""
    for notes in (file_upload_statuses._signals, file_upload_statuses._statuses):
        while len(notes) > _NOTES:
            del notes[next(iter(notes))]


def forget_visitors(queue: Any, calling: str | None) -> None:
    """Forgets those who have nothing to wait for, when there are many.

    Args:
        queue: Gradio's, of the page.
        calling: Session of the one who is calling now, who goes to the end of the row.
    """
    answers, waiting = queue.pending_messages_per_session, queue.pending_event_ids_session
    if calling in answers:
        answers.move_to_end(calling)
    while len(answers) >= _ANSWERS:
        del answers[next(iter(answers))]
    if len(waiting) > _NOTES:
        for session in [session for session, events in waiting.items() if not events or session not in answers]:
            del waiting[session]
