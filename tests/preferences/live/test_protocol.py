"""Messages of a page are checked before anything else sees them."""

import json

import pytest

from simrl.core.controls import Click
from simrl.preferences.live import LiveConfig, read_frame, read_message
from simrl.preferences.live.protocol import MAX_MESSAGE, frame_message


def test_a_message_holds_what_was_said():
    message = read_message(
        json.dumps(
            {
                "keys": ["Q", "mouse-left"],
                "pointer": [0.25, 1.0],
                "clicks": [[0.5, 0.5], [0, 1, "mouse-right"]],
                "feedback": -1,
                "t": 3.5,
                "pause": False,
            }
        )
    )
    assert message.keys == {"q", "mouse-left"}
    assert message.pointer == (0.25, 1.0)
    assert message.moved
    assert message.clicks == (Click(0.5, 0.5), Click(0.0, 1.0, "mouse-right"))
    assert (message.feedback, message.t, message.pause) == (-1.0, 3.5, False)
    assert message.take_over is None
    assert not message.submit


def test_a_pointer_that_leaves_is_told_from_one_that_is_not_named():
    assert read_message('{"pointer": null}').moved
    assert not read_message('{"keys": []}').moved


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("[]", "must be a JSON object"),
        ("{", "must be JSON"),
        ("[" * 3000, "must be JSON"),
        ('{"shout": 1}', "unknown key 'shout'; the keys are cancel, clicks"),
        ('{"feedback": 2}', "feedback must be a number from -1 to 1"),
        ('{"feedback": true}', "feedback must be"),
        ('{"feedback": NaN}', "feedback must be"),
        ('{"speed": "fast"}', "speed must be"),
        ('{"pause": 1}', "pause must be true or false"),
        ('{"keys": "q"}', "keys must be a list of at most 16"),
        ('{"keys": [1]}', "keys must be"),
        (json.dumps({"keys": ["q"] * 17}), "keys must be"),
        ('{"pointer": [0.5, 1.5]}', "pointer must hold fractions"),
        ('{"clicks": [[0.5, 0.5, "wheel"]]}', "unknown mouse button; the buttons are mouse-left"),
        ('{"clicks": {"x": 1}}', "clicks must be a list"),
        ('{"seek": -1}', "seek must be a step"),
        ('{"seek": 1.5}', "seek must be a step"),
        (" " * (MAX_MESSAGE + 1), "a message may have 4096 bytes"),
    ],
)
def test_bad_messages_are_refused_in_one_line(raw, why):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        read_message(raw)
    assert why in str(caught.value)


def test_a_frame_comes_apart_as_it_was_put_together():
    message = frame_message({"step": 3, "time": 0.5}, b"\xff\xd8jpeg")
    # Four bytes big-endian, so a browser's DataView reads them by default.
    size = message[0] << 24 | message[1] << 16 | message[2] << 8 | message[3]
    assert json.loads(message[4 : 4 + size]) == {"type": "frame", "step": 3, "time": 0.5}
    assert read_frame(message) == ({"type": "frame", "step": 3, "time": 0.5}, b"\xff\xd8jpeg")
    with pytest.raises(ValueError, match="header has"):
        read_frame(message[:10])


def test_the_config_has_bounds():
    with pytest.raises(ValueError, match="fps must be at most 20"):
        LiveConfig(fps=30.0)
    with pytest.raises(ValueError, match="speed must be within"):
        LiveConfig(speed=9.0)
    with pytest.raises(ValueError, match="seconds must be positive"):
        LiveConfig(seconds=0.0)
