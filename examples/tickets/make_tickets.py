"""Write tickets.csv: 600 support tickets of a made-up service, with 6 labels.

About one ticket in five has several labels, one in eight has none. The texts are put together by
chance from sentences below, from the seed alone: the same command writes the same file.

    python make_tickets.py tickets.csv
"""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path

ROWS = 600
SEED = 20_240
LABELS = ("billing", "bug", "login", "performance", "feature_request", "cancellation")
WEIGHTS = (26, 24, 18, 12, 13, 7)
SHARE_WITHOUT = 0.12
SHARE_SEVERAL = 0.21

SLOTS: dict[str, tuple[str, ...]] = {
    "page": (
        *("the dashboard", "the reports page", "the calendar", "the contacts list", "the editor"),
        *("the export screen", "the team page", "the project board", "the inbox", "the map view"),
    ),
    "device": (
        *(
            "my phone",
            "the iPad",
            "a Windows laptop",
            "Chrome",
            "Firefox",
            "Safari",
            "the Android app",
        ),
        *("two different machines", "the desktop app", "a work computer"),
    ),
    "when": (
        *(
            "since this morning",
            "since the last update",
            "for three days",
            "since Tuesday",
            "again",
        ),
        *("every time", "about half the time", "since last night", "for a week now", "after lunch"),
    ),
    "amount": (
        *("$12", "$49", "89 euros", "$240", "19.90", "$7.50", "1,200 crowns", "£30", "$99", "$15"),
    ),
    "plan": (
        *("the team plan", "the yearly plan", "the starter plan", "the pro plan", "our trial"),
        *("the student plan", "the monthly plan", "five seats", "the family plan"),
    ),
    "month": (
        *("January", "February", "March", "April", "May", "June", "August", "October", "December"),
    ),
    "thing": (
        *("a spreadsheet", "our calendar", "a PDF", "photos", "the customer list", "two columns"),
        *("a long comment", "an attachment", "last year's numbers", "a shared folder"),
    ),
    "wish": (
        *("dark mode", "keyboard shortcuts", "a Slack integration", "recurring tasks", "an API"),
        *("custom fields", "a Finnish translation", "bulk editing", "offline use", "tags"),
        *("a weekly summary by mail", "sorting by due date", "a printable view", "colour labels"),
    ),
    "error": (
        *("error 500", "'something went wrong'", "a blank page", "code E-1042", "a red banner"),
        *("'unexpected token'", "a stack trace", "an endless dialog", "'null'"),
    ),
    "seconds": (
        *(
            "ten seconds",
            "a full minute",
            "ages",
            "forty seconds",
            "longer than my coffee",
            "minutes",
        ),
    ),
    "person": (
        *(
            "my colleague",
            "our accountant",
            "a new hire",
            "my boss",
            "the whole team",
            "a customer",
        ),
        *("my wife", "our intern", "nobody here", "one of the admins"),
    ),
    "reason": (
        *("we went with another tool", "the project is over", "it is more than we need"),
        *("our budget was cut", "we hardly use it", "I am changing jobs", "the company is closing"),
    ),
}

SENTENCES: dict[str, tuple[str, ...]] = {
    "billing": (
        "I was charged {amount} twice in {month}.",
        "The invoice for {month} shows {amount}, and we agreed on less.",
        "Where do I find the receipt for {month}?",
        "Please send the invoice to {person} instead.",
        "My card was declined although there is money on it.",
        "We paid for {plan} and were billed for another one.",
        "The VAT number is missing on all of our invoices.",
        "Can I pay {amount} by bank transfer?",
        "There is a charge of {amount} that I do not recognise.",
        "When will I see the refund of {amount}?",
        "Our discount is gone from the {month} bill.",
        "The price went up by {amount} and nobody told us.",
        "How do I change the card that {plan} is paid with?",
        "We need a purchase order number on the bill.",
    ),
    "bug": (
        "{page} shows {error} {when}.",
        "When I upload {thing} on {device} I get {error}.",
        "Saving {thing} throws {error}.",
        "The dates in {page} are off by one day.",
        "Deleted items come back {when}.",
        "I press the button in {page} and nothing happens.",
        "{thing} came out garbled when I exported it.",
        "Search finds nothing, though {thing} is right there.",
        "On {device} the menu covers half of {page}.",
        "The totals in {page} do not add up {when}.",
        "Sorting {thing} puts everything in the wrong order.",
        "Notifications arrive twice {when}.",
        "The app crashes on {device} as soon as I open {thing}.",
        "Undo removed {thing} that I never touched.",
    ),
    "login": (
        "I can't sign in on {device} {when}.",
        "The password reset mail never arrives.",
        "It says my account is locked.",
        "{person} does not get the verification code.",
        "I lost my phone and with it the second factor.",
        "Single sign-on sends us in circles {when}.",
        "My password is right and it still says wrong password.",
        "I get logged out of {device} every few minutes.",
        "How do I change the email address I sign in with?",
        "{person} was invited, and the link has expired.",
        "The captcha never accepts my answer.",
        "Please unlock my user, I mistyped the password too often.",
    ),
    "performance": (
        "{page} takes {seconds} to load {when}.",
        "Everything is painfully slow on {device}.",
        "Opening {thing} takes {seconds}.",
        "Typing lags {when}, I see letters {seconds} later.",
        "The fan of {device} goes wild whenever {page} is open.",
        "Uploads crawl {when}.",
        "Scrolling through {page} stutters on {device}.",
        "It used to be quick, now {page} needs {seconds}.",
        "The spinner turns for {seconds} before {thing} appears.",
        "With more than a thousand rows {page} hardly moves.",
    ),
    "feature_request": (
        "It would be great to have {wish}.",
        "Do you plan to add {wish}?",
        "Please consider {wish}, {person} keeps asking for it.",
        "Could {page} get {wish} some day?",
        "We miss {wish} compared with what we had before.",
        "Is there a roadmap, and is {wish} on it?",
        "An option to share {thing} with guests would help us a lot.",
        "I wish I could pin {thing} to the top of {page}.",
        "Suggestion: let us turn off the sounds on {device}.",
        "My vote goes to {wish}.",
    ),
    "cancellation": (
        "I want to cancel {plan}, {reason}.",
        "Please close our account, {reason}.",
        "How do I end {plan} before it renews?",
        "We are leaving at the end of {month}.",
        "Delete my account and all of its data.",
        "Do not renew {plan}.",
        "I tried to unsubscribe and cannot find where.",
        "Take {person} and me off {plan}, {reason}.",
    ),
}

PLAIN: tuple[str, ...] = (
    "What are your opening hours in {month}?",
    "Thank you, that worked at once!",
    "Just wanted to say that {person} loves it.",
    "I am out of office until {month}, please write to {person}.",
    "Is this the right address for press questions?",
    "Who do I talk to about a talk at our meetup in {month}?",
    "Sent by mistake, please ignore.",
    "Any news on my last message?",
    "Your phone line is busy {when}.",
    "Are you hiring? My cousin is looking for work.",
    "We are a school and would like to visit you in {month}.",
    "Greetings from the whole office, and happy new year.",
    "Could you tell me which ticket number this was?",
    "The answer from support was friendly and clear.",
    "Do you have a brochure for {person}?",
    "Best offer on printer ink, only in {month}!",
)

OPENERS = (
    *(
        "Hi,",
        "Hello,",
        "Hi there,",
        "Dear support,",
        "Good morning,",
        "Hey,",
        "Hello team,",
        "Help!",
    ),
    *("To whom it may concern,", "Me again.", "Quick one:", "Sorry to bother you.", ""),
    *("", "", "", "", ""),
)
CLOSERS = (
    *(
        "Thanks!",
        "Please advise.",
        "Can you look into it?",
        "Regards",
        "Best wishes, Kim",
        "Cheers",
    ),
    *("It is rather urgent.", "No hurry.", "Screenshot attached.", "Thank you in advance.", ""),
    *("Any ideas?", "I would appreciate an answer today.", "", "", "", "", "", ""),
)
JOINTS = ("Also,", "And another thing:", "On top of that,", "Besides,", "While I am at it:", "", "")


def fill(sentence: str, rng: random.Random) -> str:
    """Return a sentence with its gaps filled, each by chance."""
    for slot, words in SLOTS.items():
        while "{" + slot + "}" in sentence:
            sentence = sentence.replace("{" + slot + "}", rng.choice(words), 1)
    return sentence[0].upper() + sentence[1:]


def write_carelessly(text: str, rng: random.Random) -> str:
    """Return a text as some people type: without capitals or stops, or with two letters swapped."""
    kind = rng.random()
    if kind < 0.10:
        return text.lower()
    if kind < 0.16:
        return text.replace(".", "").replace(",", "")
    if kind < 0.30:
        at = rng.randrange(1, len(text) - 2)
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text


def draw_labels(rng: random.Random) -> list[str]:
    """Return a ticket's labels in the order of `LABELS`."""
    kind = rng.random()
    if kind < SHARE_WITHOUT:
        return []
    count = 1 if kind < 1 - SHARE_SEVERAL else rng.choice((2, 2, 2, 3))
    drawn: set[str] = set()
    while len(drawn) < count:
        drawn.update(rng.choices(LABELS, WEIGHTS))
    return [label for label in LABELS if label in drawn]


def make_ticket(rng: random.Random) -> tuple[str, list[str]]:
    """Return a ticket's text and labels."""
    labels = draw_labels(rng)
    sentences = [fill(rng.choice(SENTENCES[label]), rng) for label in labels]
    rng.shuffle(sentences)
    if not labels or rng.random() < 0.12:
        sentences.insert(rng.randrange(len(sentences) + 1), fill(rng.choice(PLAIN), rng))
    words = [rng.choice(OPENERS), sentences[0]]
    for sentence in sentences[1:]:
        words += [rng.choice(JOINTS), sentence]
    words.append(rng.choice(CLOSERS))
    return write_carelessly(" ".join(filter(None, words)), rng), labels


def make_tickets(rows: int = ROWS, seed: int = SEED) -> list[tuple[str, str, list[str]]]:
    """Return tickets as id, text and labels; no text is there twice."""
    rng = random.Random(seed)  # noqa: S311 - no secret is made of it
    found: dict[str, list[str]] = {}
    while len(found) < rows:
        text, labels = make_ticket(rng)
        found.setdefault(text, labels)
    return [(f"T{number:04}", *ticket) for number, ticket in enumerate(found.items(), start=1)]


def main(path: Path) -> None:
    """Write the tickets."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "text", "labels"])
        for ticket, text, labels in make_tickets():
            writer.writerow([ticket, text, ",".join(labels)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
