"""Captions that exercise a tokenizer: plain, long, other scripts, entities, nearly nothing."""

from __future__ import annotations

CAPTIONS = (
    "a red cube on a wooden table, soft morning light",
    "portrait of an astronaut riding a horse, oil painting, highly detailed",
    "A CAT; wearing SUNGLASSES!!! 4k, trending on artstation",
    "the moon",
    "ein Fuchs im Schnee bei Nacht, Öl auf Leinwand",
    "一只在竹林里喝茶的熊猫",
    "кот учёный под дубом, акварель",
    "🦄🌈 over São Paulo, golden hour ✨",
    "salt &amp; pepper shakers, caf&eacute; table, 50&nbsp;mm",
    "a knight&#39;s helmet &lt;macro photo&gt;",
    "she\u2019s holding a sign that says \u201cdon\u2019t panic\u201d",
    "it's the artist's 2nd self-portrait, they've framed it, he'd say",
    "...",
    "- , - ; - !",
    "a   picture \t with\n uneven   spaces ",
    "e\u0301toile, nai\u0308ve, \ufb01ne \uff21\uff22\uff23 x² ½ №5",
    "a very long caption: " + "a castle on a hill above a quiet river, " * 12 + "at dusk",
    "supercalifragilisticexpialidocious " * 14,
    "dog dog dog dog dog dog",
    "isometric 3d render of a tiny greenhouse, 1920x1080, f/1.8, --ar 16:9 (masterpiece:1.3)",
)
