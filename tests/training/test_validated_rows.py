from attn.training.validated_rows import figure_text, kept_number, why_untrained


def test_signs_of_no_progress():
    rows = [{"cross_entropy": 1.0, "validation_accuracy": 0.4}]
    told = {"loss": "cross_entropy", "chance": 1.1, "most_frequent": 0.25, "held_out": 100, "advice": ("A", "B")}
    assert why_untrained(rows, **told) == []
    assert "1.000 (chance: 1.010): no progress. Try A." in why_untrained(rows, **told | {"chance": 1.01})[0]
    assert (
        "40.0% (chance: 37.0%). Try more labelled videos, B" in why_untrained(rows, **told | {"most_frequent": 0.37})[0]
    )


def test_the_last_of_equal_figures_is_kept_and_weights_without_a_figure_replace_all():
    rows = [{"validation_map": figure} for figure in (0.5, 0.7, 0.7, 0.6)]
    assert kept_number(rows) == 3
    assert kept_number([*rows, {"validation_map": None}]) == 5
    assert figure_text(rows[0]) == ", validation mAP 0.500"
    assert figure_text({"validation_accuracy": None}) == ""
