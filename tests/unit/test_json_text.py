# ruff: noqa: RUF001  # some texts are about curly quotes
import json
import math
import re
import string
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from git_refresh.settings.json_text import JsonError, JsonObject, parse

A = "https://adb-1.1.azuredatabricks.net"


def said(text: str) -> str:
    with pytest.raises(JsonError) as caught:
        parse(text)
    return str(caught.value)


def refused(text: str) -> JsonError | None:
    try:
        parse(text)
    except JsonError as error:
        return error
    return None


# Written text; place, problem and replacement; excerpt shown.
WRONG = {
    # commas
    "comma before }": (
        '[\n  {\n    "host": "https://adb-1.1.azuredatabricks.net",\n    "branch": "main",\n  }\n]',
        "line 4, column 21, in [0]: there is a comma before the closing }; remove it",
        '… "https://adb-1.1.azuredatabricks.net", "branch": "…", <-- HERE } ]',
    ),
    "comma before ]": (
        '["https://adb-1.1.azuredatabricks.net", ]',
        "line 1, column 39: there is a comma before the closing ]; remove it",
        '["https://adb-1.1.azuredatabricks.net", <-- HERE ]',
    ),
    "comma before }, deep inside": (
        '[1, 2, {"folders": [{"path": "/Repos/a/b", "branch": "main",}]}]',
        "line 1, column 60, in [2].folders[0]: there is a comma before the closing }; remove it",
        '… {"folders": [{"path": "/Repos/a/b", "branch": "…", <-- HERE }]}]',
    ),
    "two commas in a list": (
        '["https://adb-1.1.azuredatabricks.net",, "x"]',
        "line 1, column 40: there are two commas in a row; remove one",
        '["https://adb-1.1.azuredatabricks.net",, <-- HERE "…"]',
    ),
    "two commas in an object": (
        '[{"host": "x",, "name": "y"}]',
        "line 1, column 15, in [0]: there are two commas in a row; remove one",
        '[{"host": "…",, <-- HERE "name": "…"}]',
    ),
    "comma after [": (
        '[, "x"]',
        "line 1, column 2: there is a comma right after the opening bracket; remove it",
        '[, <-- HERE "…"]',
    ),
    "comma after {": (
        '{, "host": "x"}',
        "line 1, column 2: there is a comma right after the opening bracket; remove it",
        '{, <-- HERE "host": "…"}',
    ),
    "no comma between objects": (
        '[{"host": "x"} {"host": "y"}]',
        "line 1, column 15: a comma is missing between two items; write , here",
        '[{"host": "…"} <-- HERE {"host": "…"}]',
    ),
    "no comma between texts": (
        '["a""b"]',
        "line 1, column 5: a comma is missing between two items; write , here",
        '["…" <-- HERE "…"]',
    ),
    "no comma between numbers": (
        '[{"additional_principal_ids": [1 2]}]',
        "line 1, column 33, in [0].additional_principal_ids: a comma is missing between two items; write , here",
        '[{"additional_principal_ids": [… <-- HERE …]}]',
    ),
    "no comma at the end of a line": (
        '[{"host": "x"\n  "name": "y"}]',
        'line 1, column 14, in [0]: a comma is missing before the next "key": value; write , here',
        '[{"host": "…" <-- HERE "name": "…"}]',
    ),
    "semicolon for a comma": (
        '[{"host": "x"; "name": "y"}]',
        "line 1, column 14, in [0]: there is a ; instead of a comma; write ,",
        '[{"host": "…"; <-- HERE "name": "…"}]',
    ),
    # colons and keys
    "no colon": (
        '[{"host" "x"}]',
        "line 1, column 9, in [0].host: a colon is missing between key and value; write : here",
        '[{"host" <-- HERE "…"}]',
    ),
    "= for a colon": (
        '[{"host" = "x"}]',
        "line 1, column 10, in [0].host: there is a = instead of a colon; write :",
        '[{"host" = <-- HERE "…"}]',
    ),
    "=> for a colon": (
        '[{"host" => "x"}]',
        "line 1, column 10, in [0].host: there is a => instead of a colon; write :",
        '[{"host" => <-- HERE "…"}]',
    ),
    "= after a colon": (
        '[{"host": = "x"}]',
        "line 1, column 11, in [0].host: there is a = after the colon; remove it",
        '[{"host": = <-- HERE "…"}]',
    ),
    "two colons": (
        '[{"host":: "x"}]',
        "line 1, column 10, in [0].host: there are two colons in a row; remove one",
        '[{"host":: <-- HERE "…"}]',
    ),
    "colon for a comma": (
        '[{"tag": "a": "b"}]',
        'line 1, column 13, in [0]: there is a second colon after one key; write "key": value, "key": value',
        '[{"tag": "…": <-- HERE "…"}]',
    ),
    "no value before }": (
        '[{"host": }]',
        "line 1, column 11, in [0].host: the value after the colon is missing; write it, or remove the key too",
        '[{"host": } <-- HERE ]',
    ),
    "no value before a comma": (
        '[{"host": , "name": "y"}]',
        "line 1, column 11, in [0].host: the value after the colon is missing; write it, or remove the key too",
        '[{"host": , <-- HERE "name": "…"}]',
    ),
    "no value before ]": (
        '[{"host": ]',
        "line 1, column 11, in [0].host: the value after the colon is missing; write it, or remove the key too",
        '[{"host": ] <-- HERE',
    ),
    "key alone": (
        '[{"host"}]',
        'line 1, column 3, in [0].host: this key has no value; write "key": value',
        '[{"host" <-- HERE }]',
    ),
    "key alone, others follow": (
        '[{"host", "name": "y"}]',
        'line 1, column 3, in [0].host: this key has no value; write "key": value',
        '[{"host" <-- HERE , "name": "…"}]',
    ),
    "no key": (
        '[{: "x"}]',
        'line 1, column 3, in [0]: the key before the colon is missing; write "key": value',
        '[{: <-- HERE "…"}]',
    ),
    "key without quotes": (
        '{host: "x"}',
        'line 1, column 2: this key has no quotes; add " before and after it',
        '{host <-- HERE : "…"}',
    ),
    "key without quotes and =": (
        '[{host = "x"}]',
        'line 1, column 3, in [0]: this key has no quotes; add " before and after it',
        '[{host <-- HERE = "…"}]',
    ),
    "number for a key": (
        '[{1: "x"}]',
        'line 1, column 3, in [0]: this key has no quotes; add " before and after it',
        '[{… <-- HERE : "…"}]',
    ),
    "true for a key": (
        '[{true: "x"}]',
        'line 1, column 3, in [0]: this key has no quotes; add " before and after it',
        '[{true <-- HERE : "…"}]',
    ),
    "pair in a list": (
        '["host": "x"]',
        'line 1, column 2: "key": value is only allowed inside { }; write { before it, or ] if the list ends here',
        '["host" <-- HERE : "…"]',
    ),
    "list that did not end": (
        '[{"folders": ["/a/b", "name": "y"}]',
        'line 1, column 23, in [0].folders: "key": value is only allowed inside { }; write { before it, or ] if the list ends here',
        '[{"folders": ["…", "name" <-- HERE : "…"}]',
    ),
    "text in an object": (
        '[{"folders": {"path": "/a/b", "/Repos/c/d"]}]',
        (
            'line 1, column 31, in [0].folders: this string is inside { }, where only "key": value is allowed; '
            "write } before it, or [ where its list begins"
        ),
        '[{"folders": {"path": "…", "/Repos/c/d" <-- HERE ]}]',
    ),
    # double quotes
    "value without quotes": (
        '[{"branch": main}]',
        'line 1, column 13, in [0].branch: this string has no quotes; add " before and after it',
        '[{"branch": … <-- HERE }]',
    ),
    "address without quotes": (
        '[{"host": https://adb-1.1.azuredatabricks.net, "name": "y"}]',
        'line 1, column 11, in [0].host: this string has no quotes; add " before and after it',
        '[{"host": https://adb-1.1.azuredatabricks.net <-- HERE , "name": "…"}]',
    ),
    "path without quotes": (
        '[{"folders": [/Repos/a/b]}]',
        'line 1, column 15, in [0].folders[0]: this string has no quotes; add " before and after it',
        '[{"folders": [/Repos/a/b <-- HERE ]}]',
    ),
    "id without quotes": (
        '[{"client_id": 00000000-0000-4000-8000-000000000001}]',
        'line 1, column 16, in [0].client_id: this string has no quotes; add " before and after it',
        '[{"client_id": … <-- HERE }]',
    ),
    "yes without quotes": (
        "[yes]",
        'line 1, column 2, in [0]: this string has no quotes; add " before and after it',
        "[… <-- HERE ]",
    ),
    "value without closing quote": (
        '[{"host": "https://adb-1.1.azuredatabricks.net, "name": "y"}]',
        'line 1, column 11, in [0].host: this string has no closing quote; add " where it ends',
        '[{"host": " <-- HERE https://adb-1.1.azuredatabricks.net …',
    ),
    "value without closing quote before }": (
        '[{"host": "x}, {"host": "y"}]',
        'line 1, column 11, in [0].host: this string has no closing quote; add " where it ends',
        '[{"host": " <-- HERE …}, {"host": "…"}]',
    ),
    "value without closing quote at the end of a line": (
        '[{"host": "x,\n  "name": "y"}]',
        'line 1, column 11, in [0].host: this string has no closing quote; add " where it ends',
        '[{"host": " <-- HERE …, "name": "…"}]',
    ),
    "value without closing quote before a line with }": (
        '[{"host": "x\n}]',
        'line 1, column 11, in [0].host: this string has no closing quote; add " where it ends',
        '[{"host": " <-- HERE … }]',
    ),
    "value without closing quote at the end of the text": (
        '[{"host": "x}]',
        'line 1, column 11, in [0].host: this string has no closing quote; add " where it ends',
        '[{"host": " <-- HERE …}]',
    ),
    "text that ends in a \\": (
        '["x\\',
        'line 1, column 2, in [0]: this string has no closing quote; add " where it ends',
        '[" <-- HERE …\\',
    ),
    "key without closing quote": (
        '[{"host: "x"}]',
        'line 1, column 3, in [0]: this string has no closing quote; add " where it ends',
        '[{" <-- HERE host: "…"}]',
    ),
    "value without opening quote": (
        '[{"branch": main", "tag": "x"}]',
        'line 1, column 13, in [0].branch: this string has a closing quote but no opening one; add " before it',
        '[{"branch": …" <-- HERE , "tag": "…"}]',
    ),
    "address without opening quote": (
        '[{"host": https://adb-1.1.azuredatabricks.net"}]',
        'line 1, column 11, in [0].host: this string has a closing quote but no opening one; add " before it',
        '[{"host": https://adb-1.1.azuredatabricks.net" <-- HERE }]',
    ),
    "key without opening quote": (
        '[{host": "x"}]',
        'line 1, column 3, in [0]: this key has a closing quote but no opening one; add " before it',
        '[{host" <-- HERE : "…"}]',
    ),
    "quote inside a text": (
        '[{"name": "the "prod" one"}]',
        r"line 1, column 16, in [0].name: this quote ends the string too early; write \" for a quote inside a string",
        '[{"name": "… " <-- HERE …" …"}]',
    ),
    "two quotes before": (
        '[{""host": "x"}]',
        "line 1, column 3, in [0]: there are two quotes in a row; remove one",
        '[{"" <-- HERE host": "…"}]',
    ),
    "two quotes behind": (
        '[{"host": "x""}]',
        "line 1, column 13, in [0].host: there are two quotes in a row; remove one",
        '[{"host": "…"" <-- HERE }]',
    ),
    # other quotes
    "curly quotes around a key": (
        "[{“host”: “x”}]",
        'line 1, column 3, in [0]: “ is a curly quote; use the plain " instead, here and elsewhere',
        "[{“ <-- HERE host”: “…”}]",
    ),
    "curly quotes around a value": (
        '[{"host": “x”}]',
        'line 1, column 11, in [0].host: “ is a curly quote; use the plain " instead, here and elsewhere',
        '[{"host": “ <-- HERE …”}]',
    ),
    "low curly quotes": (
        '[{"host": „x“}]',
        'line 1, column 11, in [0].host: „ is a curly quote; use the plain " instead, here and elsewhere',
        '[{"host": „ <-- HERE …“}]',
    ),
    "angle quotes": (
        '[{"host": «x»}]',
        'line 1, column 11, in [0].host: « is a curly quote; use the plain " instead, here and elsewhere',
        '[{"host": « <-- HERE …»}]',
    ),
    "single curly quotes": (
        '[{"host": ‘x’}]',
        'line 1, column 11, in [0].host: ‘ is a curly quote; use the plain " instead, here and elsewhere',
        '[{"host": ‘ <-- HERE …’}]',
    ),
    "curly quote at the end of a value": (
        '[{"host": "https://adb-1.1.azuredatabricks.net”, "name": "y"}]',
        'line 1, column 47, in [0].host: ” is a curly quote; use the plain " instead, here and elsewhere',
        '[{"host": "https://adb-1.1.azuredatabricks.net” <-- HERE , "name": "…"}]',
    ),
    "curly quote at the end of a key": (
        '[{"host”: "x"}]',
        'line 1, column 8, in [0]: ” is a curly quote; use the plain " instead, here and elsewhere',
        '[{"host” <-- HERE : "…"}]',
    ),
    "curly quote at the end of the last value": (
        '["don’t”]',
        'line 1, column 8, in [0]: ” is a curly quote; use the plain " instead, here and elsewhere',
        '["…’…” <-- HERE ]',
    ),
    "curly quote at the end of a line": (
        '[{"host": "x”,\n  "name": "y"}]',
        'line 1, column 13, in [0].host: ” is a curly quote; use the plain " instead, here and elsewhere',
        '[{"host": "…” <-- HERE , "name": "…"}]',
    ),
    "curly quotes around all": (
        '“[{"host": "x"}]”',
        (
            "line 1, column 1: the whole value is in quotes, as in local.settings.json; "
            r'remove the first and the last ", and every \ before a "'
        ),
        '“[ <-- HERE {"host": "…"}]”',
    ),
    "single quotes around a key": (
        "[{'host': 'x'}]",
        "line 1, column 3, in [0]: ' is not a double quote; use \" instead, here and elsewhere",
        "[{' <-- HERE host': '…'}]",
    ),
    "single quotes around a value": (
        "[{\"host\": 'x'}]",
        "line 1, column 11, in [0].host: ' is not a double quote; use \" instead, here and elsewhere",
        "[{\"host\": ' <-- HERE …'}]",
    ),
    "single quote at the end of a value": (
        '[{"host": "x\', "name": "y"}]',
        "line 1, column 13, in [0].host: ' is not a double quote; use \" instead, here and elsewhere",
        '[{"host": "…\' <-- HERE , "name": "…"}]',
    ),
    "single quotes of a shell": (
        '\'[{"host": "x"}]\'',
        "line 1, column 1: the shell's quotes were pasted too; remove the ' at the start and the ' at the end",
        '\'[ <-- HERE {"host": "…"}]\'',
    ),
    "single quote left at the end": (
        '[{"host": "x"}]\'',
        "line 1, column 16: there is a quote after the end; remove it",
        '[{"host": "…"}]\' <-- HERE',
    ),
    "double quote left at the end": (
        '[{"host": "x"}]"',
        "line 1, column 16: there is a quote after the end; remove it",
        '[{"host": "…"}]" <-- HERE',
    ),
    "backquotes": (
        '[{`host`: "x"}]',
        'line 1, column 3, in [0]: ` is not a double quote; use " instead, here and elsewhere',
        '[{` <-- HERE host`: "…"}]',
    ),
    "backquotes of a code block": (
        '```json\n[{"host": "x"}]\n```',
        "line 1, column 1: the ` of a code block were pasted too; remove them at the start and at the end",
        '```… [ <-- HERE {"host": "…"}] ```',
    ),
    # words, numbers and comments
    "None of Python": (
        '[{"tag": None}]',
        "line 1, column 10, in [0].tag: None is not valid JSON; leave the key out instead",
        '[{"tag": None <-- HERE }]',
    ),
    "True of Python": (
        '[{"tag": True}]',
        "line 1, column 10, in [0].tag: True must be in lower case; write true or false",
        '[{"tag": True <-- HERE }]',
    ),
    "False of Python": (
        "[False]",
        "line 1, column 2, in [0]: False must be in lower case; write true or false",
        "[False <-- HERE ]",
    ),
    "undefined of JavaScript": (
        '[{"tag": undefined}]',
        "line 1, column 10, in [0].tag: undefined is not valid JSON; leave the key out instead",
        '[{"tag": … <-- HERE }]',
    ),
    "NaN": (
        "[NaN]",
        "line 1, column 2, in [0]: NaN is not valid JSON; leave the key out instead",
        "[… <-- HERE ]",
    ),
    "-Infinity": (
        "[-Infinity]",
        "line 1, column 2, in [0]: -Infinity is not valid JSON; leave the key out instead",
        "[… <-- HERE ]",
    ),
    "number that starts with 0": (
        '[{"additional_principal_ids": [012]}]',
        "line 1, column 32, in [0].additional_principal_ids[0]: a number cannot start with 0; remove the 0, or put it in double quotes if it is a string",
        '[{"additional_principal_ids": [… <-- HERE ]}]',
    ),
    "number that starts with +": (
        "[+1]",
        "line 1, column 2, in [0]: a number cannot start with +; remove the +",
        "[… <-- HERE ]",
    ),
    "number that starts with a point": (
        "[.5]",
        "line 1, column 2, in [0]: a number needs a digit on both sides of the decimal point; write 0.5 or 5.0",
        "[… <-- HERE ]",
    ),
    "number that ends with a point": (
        "[5.]",
        "line 1, column 2, in [0]: a number needs a digit on both sides of the decimal point; write 0.5 or 5.0",
        "[… <-- HERE ]",
    ),
    "number in hexadecimal": (
        "[0x1F]",
        "line 1, column 2, in [0]: JSON has no hexadecimal numbers; write this one in decimal, or put it in double quotes if it is a string",
        "[… <-- HERE ]",
    ),
    "comment of //": (
        '[\n  // production\n  {"host": "x"}]',
        "line 2, column 3, in [0]: JSON has no comments; remove this one",
        '[ // <-- HERE … {"host": "…"}]',
    ),
    "comment of /* */": (
        "[/* x */ 1]",
        "line 1, column 2, in [0]: JSON has no comments; remove this one",
        "[/* <-- HERE … */ …]",
    ),
    "comment of #": (
        '[{"host": "x"} # production\n]',
        "line 1, column 16: JSON has no comments; remove this one",
        '[{"host": "…"} # <-- HERE … ]',
    ),
    "comment behind a comma": (
        '[{"host": "x", // production\n  "name": "y"}]',
        "line 1, column 16, in [0]: JSON has no comments; remove this one",
        '[{"host": "…", // <-- HERE … "name": "…"}]',
    ),
    "… of an example": (
        '[{"host": "x", …}]',
        "line 1, column 16, in [0]: the … of an example was left in; replace it with the real value, or remove it",
        '[{"host": "…", … <-- HERE }]',
    ),
    "... of an example": (
        '[{"host": "x"}, ...]',
        "line 1, column 17, in [1]: the … of an example was left in; replace it with the real value, or remove it",
        '[{"host": "…"}, … <-- HERE ]',
    ),
    "... for a value": (
        '[{"host": ...}]',
        "line 1, column 11, in [0].host: the … of an example was left in; replace it with the real value, or remove it",
        '[{"host": … <-- HERE }]',
    ),
    "placeholder for a value": (
        '[{"host": $(HOST)}]',
        "line 1, column 11, in [0].host: this placeholder was never filled in; write the value itself, in double quotes",
        '[{"host": $(…) <-- HERE }]',
    ),
    "character that means nothing": (
        '[{"host": @}]',
        "line 1, column 11, in [0].host: a value is expected here; write a string in double quotes, a number, true, false, null, [ ] or { }",
        '[{"host": @ <-- HERE }]',
    ),
    # backslashes, line breaks and what cannot be seen
    "Windows path": (
        r'[{"folders": ["C:\Work"]}]',
        "line 1, column 18, in [0].folders[0]: a single \\ is not allowed in a string; write / instead, or \\\\ if it must be a \\",
        r'[{"folders": ["…:\ <-- HERE …"]}]',
    ),
    "Windows path that ends in a \\": (
        r'[{"path": "C:/x\", "url": "y"}]',
        r"line 1, column 16, in [0].path: there is a \ before the closing quote; remove it, or write / instead",
        r'[{"path": "…:…\ <-- HERE ", "url": "…"}]',
    ),
    r"\u without its digits": (
        r'["\u12"]',
        "line 1, column 3, in [0]: a single \\ is not allowed in a string; write / instead, or \\\\ if it must be a \\",
        r'["\ <-- HERE …"]',
    ),
    r"\ before quotes": (
        r"[{\"host\": \"x\"}]",
        (
            r"line 1, column 3, in [0]: there is a \ outside a string, as in text copied from local.settings.json; "
            "remove it, here and elsewhere"
        ),
        r'[{\ <-- HERE "host\": \"…\"}]',
    ),
    r"\n between": (
        r"[\n{\"host\": \"x\"}]",
        (
            r"line 1, column 2, in [0]: there is a \n outside a string, as in text copied from local.settings.json; "
            "remove it, here and elsewhere"
        ),
        r"[\… <-- HERE {\"host\": \"…\"}]",
    ),
    "line break in a text": (
        '[{"host": "https://\nadb"}]',
        "line 1, column 20, in [0].host: there is a line break inside a string; remove it",
        '[{"host": "… <-- HERE …"}]',
    ),
    "line break before a closing quote": (
        '[{"host": "x\n", "name": "y"}]',
        "line 1, column 13, in [0].host: there is a line break inside a string; remove it",
        '[{"host": "… <-- HERE ", "name": "…"}]',
    ),
    "tab in a text": (
        '["a\tb"]',
        "line 1, column 4, in [0]: there is a tab inside a string; remove it",
        '["… <-- HERE …"]',
    ),
    "control character in a text": (
        '["a\x00b"]',
        "line 1, column 4, in [0]: there is an invisible character inside a string; remove it",
        '["… <-- HERE "]',
    ),
    "no-break space": (
        '[{"host":\xa0"x"}]',
        "line 1, column 10, in [0].host: there is an invisible character here (no-break space); delete it, and type a plain space if needed",
        '[{"host": <-- HERE "…"}]',
    ),
    "zero-width space": (
        '[\u200b{"host": "x"}]',
        "line 1, column 2, in [0]: there is an invisible character here (zero width space); delete it, and type a plain space if needed",
        '[… <-- HERE {"host": "…"}]',
    ),
    "zero-width joiner": (
        '[{\u200d"host": "x"}]',
        "line 1, column 3, in [0]: there is an invisible character here (zero width joiner); delete it, and type a plain space if needed",
        '[{… <-- HERE "host": "…"}]',
    ),
    "byte order mark inside": (
        "[\ufeff1]",
        "line 1, column 2, in [0]: there is an invisible character here (zero width no-break space); delete it, and type a plain space if needed",
        "[… <-- HERE ]",
    ),
    "ideographic space": (
        "[1,\u3000 2]",
        "line 1, column 4, in [1]: there is an invisible character here (ideographic space); delete it, and type a plain space if needed",
        "[…, <-- HERE …]",
    ),
    "control character": (
        "[\x011]",
        "line 1, column 2, in [0]: there is an invisible character here (control character); delete it, and type a plain space if needed",
        "[… <-- HERE ]",
    ),
    # brackets
    "[ never closed": (
        '[{"host": "x"}',
        "line 1, column 1: this [ is never closed, the text ends too early; write ] at the end, or paste the whole text again",
        '[ <-- HERE {"host": "…"}',
    ),
    "{ never closed": (
        '[\n  {"host": "x"',
        "line 2, column 3, in [0]: this { is never closed, the text ends too early; write }] at the end, or paste the whole text again",
        '[ { <-- HERE "host": "…"',
    ),
    "cut off behind a colon": (
        '[{"host": "x", "folders": [{"path":',
        "line 1, column 28, in [0].folders[0]: this { is never closed, the text ends too early; paste the whole text again",
        '[{"host": "…", "folders": [{ <-- HERE "path":',
    ),
    "cut off behind a comma": (
        '[{"host": "x"},',
        "line 1, column 1: this [ is never closed, the text ends too early; paste the whole text again",
        '[ <-- HERE {"host": "…"},',
    ),
    "] for }": (
        '[{"host": "x"]',
        (
            "line 1, column 14, in [0]: there is a ] here, but the { at line 1, column 2 is still open; "
            "write } before it or instead of it, or remove it"
        ),
        '[{"host": "…"] <-- HERE',
    ),
    "} for ]": (
        '[{"host": "x"}}',
        "line 1, column 15: there is a } here, but the [ at line 1, column 1 is still open; write ] before it or instead of it, or remove it",
        '[{"host": "…"}} <-- HERE',
    ),
    "} for ] behind a comma": (
        '["a", }',
        "line 1, column 7: there is a } here, but the [ at line 1, column 1 is still open; write ] before it or instead of it, or remove it",
        '["…", } <-- HERE',
    ),
    "} missing before an object": (
        '[{"host": "x", {"host": "y"}]',
        "line 1, column 16, in [0]: there is a { where a key is expected; write } before the comma, to end the entry there",
        '[{"host": "…", { <-- HERE "host": "…"}]',
    ),
    "two {": (
        '[{{"host": "x"}}]',
        "line 1, column 3, in [0]: there are two { in a row; remove one",
        '[{{ <-- HERE "host": "…"}}]',
    ),
    "[ for a key": (
        '{["x"]}',
        'line 1, column 2: a key in double quotes is expected here; write "key": value',
        '{[ <-- HERE "…"]}',
    ),
    "] too many": (
        '[{"host": "x"}]]',
        "line 1, column 16: this ] has no opening bracket; remove it, or add the opening bracket",
        '[{"host": "…"}]] <-- HERE',
    ),
    "} too many": (
        '{"host": "x"}}',
        "line 1, column 14: this } has no opening bracket; remove it, or add the opening bracket",
        '{"host": "…"}} <-- HERE',
    ),
    "( for [": (
        '[("x")]',
        "line 1, column 2, in [0]: a value is expected here; write a string in double quotes, a number, true, false, null, [ ] or { }",
        '[( <-- HERE "…")]',
    ),
    ") for ]": (
        '["x")',
        "line 1, column 5: there is a ) instead of a comma or a closing bracket; write the one you need",
        '["…") <-- HERE',
    ),
    # the whole value
    "nothing": (
        " ",
        "line 1, column 2: there is nothing here; write the value, which starts with [ or {",
        "",
    ),
    "any text": (
        "nonsense",
        "line 1, column 1: JSON starts with [ or {, but this does not; write the value again, or copy it again",
        "",
    ),
    "objects with a comma between": (
        '{"host": "x"}, {"host": "y"}',
        "line 1, column 14: another entry follows the first; put [ ] around all of them, and a comma between them",
        '{"host": "…"}, <-- HERE {"host": "…"}',
    ),
    "objects on lines of their own": (
        '{"host": "x"}\n{"host": "y"}',
        "line 2, column 1: another entry follows the first; put [ ] around all of them, and a comma between them",
        '{"host": "…"} { <-- HERE "host": "…"}',
    ),
    "addresses in quotes with a comma between": (
        '"https://adb-1.1.azuredatabricks.net", "https://adb-2.2.azuredatabricks.net"',
        "line 1, column 38: another string follows the first; put [ ] around all of them, and a comma between them",
        '"https://adb-1.1.azuredatabricks.net", <-- HERE "https://adb-2.2.azuredatabricks.net"',
    ),
    "second list": (
        '[{"host": "x"}]\n[{"host": "y"}]',
        "line 2, column 1: there is more after the closing ]; put all entries into one [ ], with a comma between them",
        '[{"host": "…"}] [ <-- HERE {"host": "…"}]',
    ),
    "comma behind the end": (
        '{"host": "x"},',
        "line 1, column 14: there is a , after the end; remove it",
        '{"host": "…"}, <-- HERE',
    ),
    "semicolon behind the end": (
        '[{"host": "x"}];',
        "line 1, column 16: there is a ; after the end; remove it",
        '[{"host": "…"}]; <-- HERE',
    ),
    "text behind the end": (
        '[{"host": "x"}] as agreed',
        "line 1, column 17: the JSON ends before this; remove the rest",
        '[{"host": "…"}] … <-- HERE …',
    ),
    "pair without brackets": (
        '"host": "https://adb-1.1.azuredatabricks.net"',
        "line 1, column 7: the brackets are missing; write { at the start and } at the end",
        '"host": <-- HERE "https://adb-1.1.azuredatabricks.net"',
    ),
    "address": (
        "https://adb-1.1.azuredatabricks.net",
        'line 1, column 1: an address must be in quotes, and all of them in [ ]; write ["https://…"], or ["https://…", "https://…"]',
        "https://adb-1.1.azuredatabricks.net <-- HERE",
    ),
    "addresses": (
        "https://adb-1.1.azuredatabricks.net, https://adb-2.2.azuredatabricks.net",
        'line 1, column 1: an address must be in quotes, and all of them in [ ]; write ["https://…"], or ["https://…", "https://…"]',
        "https://adb-1.1.azuredatabricks.net <-- HERE , https://adb-2.2.azuredatabricks.net",
    ),
    "host name": (
        "adb-1.1.azuredatabricks.net",
        'line 1, column 1: an address must be in quotes, and all of them in [ ]; write ["https://…"], or ["https://…", "https://…"]',
        "",
    ),
    "name=": (
        'WORKSPACES=[{"host": "x"}]',
        "line 1, column 1: the name of the setting was pasted too; paste only its value, from the first [ or { to the last ] or }",
        'WORKSPACES= <-- HERE [{"host": "…"}]',
    ),
    "name:": (
        'WORKSPACES: [{"host": "x"}]',
        "line 1, column 1: the name of the setting was pasted too; paste only its value, from the first [ or { to the last ] or }",
        'WORKSPACES: <-- HERE [{"host": "…"}]',
    ),
    "name of local.settings.json": (
        r'"WORKSPACES": "[{\"host\": \"x\"}]"',
        "line 1, column 1: the name of the setting was pasted too; paste only its value, from the first [ or { to the last ] or }",
        r'"WORKSPACES": <-- HERE "[{\"host\": \"…\"}]"',
    ),
    "name of a shell": (
        'export WORKSPACE_DEFAULTS=\'{"tag": "x"}\'',
        "line 1, column 1: the name of the setting was pasted too; paste only its value, from the first [ or { to the last ] or }",
        '… WORKSPACE_DEFAULTS= <-- HERE \'{"tag": "…"}\'',
    ),
    "JSON in a text": (
        r'"[{\"host\": \"x\"}]"',
        (
            "line 1, column 1: the whole value is in quotes, as in local.settings.json; "
            r'remove the first and the last ", and every \ before a "'
        ),
        r'"[ <-- HERE {\"host\": \"…\"}]"',
    ),
    "JSON in a text in a text": (
        r'"\"[{\\\"host\\\": 1}]\""',
        (
            "line 1, column 1: the whole value is in quotes, as in local.settings.json; "
            r'remove the first and the last ", and every \ before a "'
        ),
        r'"\"[ <-- HERE {\\\"host\\\": …}]\""',
    ),
    "JSON in a text, seen only when it is read": (
        r'"\u005b]"',
        (
            "line 1, column 1: the whole value is in quotes, as in local.settings.json; "
            r'remove the first and the last ", and every \ before a "'
        ),
        "",
    ),
    "JSON in quotes": (
        '"[{"host": "x"}]"',
        (
            "line 1, column 1: the whole value is in quotes, as in local.settings.json; "
            r'remove the first and the last ", and every \ before a "'
        ),
        '"[ <-- HERE {"host": "…"}]"',
    ),
    "Key Vault reference": (
        "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/x)",
        (
            "line 1, column 1: Azure could not resolve this Key Vault reference; "
            "see the status of this setting in the portal"
        ),
        "",
    ),
    "placeholder of %%": (
        "%WORKSPACES%",
        (
            "line 1, column 1: this placeholder was never filled in; "
            "write the value itself, or set the variable in the pipeline that fills it in"
        ),
        "",
    ),
    "placeholder of $()": (
        "$(WORKSPACES)",
        (
            "line 1, column 1: this placeholder was never filled in; "
            "write the value itself, or set the variable in the pipeline that fills it in"
        ),
        "$(WORKSPACES) <-- HERE",
    ),
    "placeholder of ${}": (
        "${WORKSPACES}",
        (
            "line 1, column 1: this placeholder was never filled in; "
            "write the value itself, or set the variable in the pipeline that fills it in"
        ),
        "${WORKSPACES} <-- HERE",
    ),
    "placeholder of {{}}": (
        "{{WORKSPACES}}",
        (
            "line 1, column 1: this placeholder was never filled in; "
            "write the value itself, or set the variable in the pipeline that fills it in"
        ),
        "{{WORKSPACES}} <-- HERE",
    ),
    "placeholder of #{}#": (
        "#{WORKSPACES}#",
        (
            "line 1, column 1: this placeholder was never filled in; "
            "write the value itself, or set the variable in the pipeline that fills it in"
        ),
        "#{WORKSPACES}# <-- HERE",
    ),
    "placeholder in quotes": (
        '"{{WORKSPACES}}"',
        (
            "line 1, column 1: this placeholder was never filled in; "
            "write the value itself, or set the variable in the pipeline that fills it in"
        ),
        '"{{WORKSPACES}}" <-- HERE',
    ),
    "YAML list": (
        "- host: https://adb-1.1.azuredatabricks.net\n  name: x",
        "line 1, column 1: this is YAML; write JSON, which starts with [ or {",
        "- <-- HERE host: https://adb-1.1.azuredatabricks.net …",
    ),
    "YAML object": (
        "host: https://adb-1.1.azuredatabricks.net\nname: x",
        "line 1, column 1: this is YAML; write JSON, which starts with [ or {",
        "host: <-- HERE https://adb-1.1.azuredatabricks.net …",
    ),
    "web page": (
        "<!DOCTYPE html><html>",
        "line 1, column 1: this is a web page, or a placeholder in < >; write the value itself, which starts with [ or {",
        "< <-- HERE …><…>",
    ),
    "far too many brackets": (
        "[" * 200,
        (
            "line 1, column 101, in [0][0][0][0][0][0]…: the brackets are nested too deeply; "
            "remove the extra ones"
        ),
        f"{'[' * 40} <-- HERE {'[' * 20}",
    ),
    "far too many digits": (
        f"[{'1' * 5000}]",
        "line 1, column 2, in [0]: this number is too long; shorten it, or put it in double quotes if it is a string",
        "[… <-- HERE ]",
    ),
}


@pytest.mark.parametrize(("text", "mistake", "seen"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named_with_its_place_and_what_to_write_instead(
    text: str, mistake: str, seen: str
) -> None:
    assert said(text) == f"is not valid JSON: {mistake}" + (f". At: {seen}" if seen else "")


DOCUMENT = """[
  {
    "host": "https://adb-1.1.azuredatabricks.net",
    "folders": [
      {"path": "/Repos/etl/production", "branch": "main"},
      "/Repos/etl/test"
    ],
    "additional_principal_ids": [1, 25]
  },
  "https://adb-2.2.azuredatabricks.net"
]"""
POSITIONS = [found.start() for found in re.finditer('"|,|:(?= )', DOCUMENT)]


def line_of(text: str) -> int:
    found = re.match(r"is not valid JSON: line (\d+), column \d+", said(text))
    assert found
    return int(found[1])


@pytest.mark.parametrize("at", POSITIONS)
def test_a_quote_comma_or_colon_that_is_left_out_is_missed_on_its_line(at: int) -> None:
    assert line_of(DOCUMENT[:at] + DOCUMENT[at + 1 :]) == DOCUMENT.count("\n", 0, at) + 1


@pytest.mark.parametrize("at", POSITIONS)
def test_a_quote_comma_or_colon_that_is_written_twice_is_found_on_its_line(at: int) -> None:
    assert line_of(DOCUMENT[:at] + DOCUMENT[at] + DOCUMENT[at:]) == DOCUMENT.count("\n", 0, at) + 1


@pytest.mark.parametrize("quote", ["'", "`", "“", "”", "’", "«"])
@pytest.mark.parametrize("at", [at for at in POSITIONS if DOCUMENT[at] == '"'])
def test_a_wrong_quote_is_found_exactly_where_it_is(at: int, quote: str) -> None:
    line, column = DOCUMENT.count("\n", 0, at) + 1, at - DOCUMENT.rfind("\n", 0, at)
    message = said(DOCUMENT[:at] + quote + DOCUMENT[at + 1 :])
    assert message.startswith(f"is not valid JSON: line {line}, column {column}")
    assert f": {quote} is " in message


@pytest.mark.parametrize("space", ["\n\n", "\r\n", "\t", "   "])
def test_white_space_before_the_text_counts(space: str) -> None:
    line, column = space.count("\n") + 1, len(space) - space.rfind("\n") - 1
    assert said(f"{space}[1,]").startswith(
        f"is not valid JSON: line {line}, column {column + 3}: there is a comma"
    )


def test_a_byte_order_mark_at_the_start_is_no_mistake_and_no_column() -> None:
    assert parse("\ufeff[1]") == [1]
    assert said("\ufeff[1,]").startswith("is not valid JSON: line 1, column 3: there is a comma")


HARMLESS = [
    "don't",
    "the users', ",
    "say “x”, please",
    "“x”",
    "„x“: y",
    "l’été",
    "https://a.b//c#d",
    "// /* # */",
    "a, b: c; d = e",
    "{[(",
    ")]}",
    "None",
    "…",
    "$(NAME)",
    "C:\\\\x",
    '\\"x\\"',
    "\xa0\u200b",
    "",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_inside_a_string_is_no_mistake(text: str) -> None:
    assert parse(f'["{text}"]') == json.loads(f'["{text}"]')
    column = len(text) + 4
    assert said(f'["{text}" 1]').startswith(f"is not valid JSON: line 1, column {column}: a comma is missing")
    assert said(f'{{"{text}" 1}}').split(", in ")[0].startswith(f"is not valid JSON: line 1, column {column}")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 0, 2]), st.booleans())
def test_what_is_json_is_read_as_json_is(value: object, indent: int | None, ascii_only: bool) -> None:  # noqa: FBT001
    assume(not (isinstance(value, str) and value.lstrip().startswith(("[", "{", '"'))))
    assert parse(json.dumps(value, indent=indent, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize(
    "text",
    ['"x"', '" "', '""', '"(x"', "12", "-0.5e3", "true", "null", "[]", "{}", '"\\ud800"', '["\ud800"]'],
)
def test_any_json_value_is_read(text: str) -> None:
    assert parse(f" {text}\n") == json.loads(text)


def test_a_number_beyond_any_range_is_read_as_python_reads_it() -> None:
    assert parse("[1e999]") == [math.inf]


def test_repeated_keys_are_named_and_the_last_value_counts() -> None:
    value = parse('[{"a": 1, "b": 2, "c": {"x": 1, "x": 2}, "b": 3, "a": 4, "a": 5}, {"a": 1}]')
    assert value == [{"a": 5, "b": 3, "c": {"x": 2}}, {"a": 1}]
    assert isinstance(value[0], JsonObject)
    assert value[0].twice == ("a", "b")
    assert value[0]["c"].twice == ("x",)
    assert value[1].twice == ()
    assert JsonObject().twice == ()


FRAGMENTS = [
    *"[]{},:;=\"'`\\/#-+.0159 \n\t\r\x00()<>@$%&|_…“”„‘’«",
    *[
        '"host"',
        '"path": ',
        '"x”',
        "host",
        "main",
        "true",
        "null",
        "None",
        "NaN",
        "0x1F",
        "1e5",
        "...",
        "//",
        "/*",
        "=>",
        "\\n",
        '\\"',
    ],
    *[
        '"\\u00',
        "\ufeff",
        "\xa0",
        "\u200b",
        "\ud800",
        "\U0001f600",
        "WORKSPACES=",
        "https://",
        A,
        "$(X)",
        "{{X}}",
        "- ",
        '[{"a": ',
        "}]",
    ],
]


@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=30).map("".join))
@example("\ud800")
@example("\ufeff\ufeff[]")
def test_nothing_but_a_json_error_comes_of_any_text(text: str) -> None:
    if (error := refused(text)) is None:
        assert parse(text) == json.loads(text.removeprefix("\ufeff"))
        return
    message = str(error)
    assert re.match(r"is not valid JSON: line \d+, column \d+(, in [^:]+)?: [^;]+; .+", message)
    assert len(message.splitlines()) == 1
    assert message.encode()
    assert error.__context__ is None  # the standard library's has the text


def test_valid_json_that_the_standard_library_cannot_read_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def give_up(*_: object, **__: object) -> object:
        raise RecursionError

    monkeypatch.setattr(json, "loads", give_up)
    assert said("[1]") == "is not valid JSON: line 1, column 1: it cannot be parsed; write it again"
    for text in ("]", "[1]]", "1,", ":", '{"a": }', "[" * 200):
        assert said(text)


MANY = 65_000
LONG = {
    "[": "[" * MANY,
    "[ and ]": "[" * MANY + "]" * MANY,
    "{": '{"a":' * MANY,
    "}": "[" + "}" * MANY,
    '"': '"' * MANY,
    '"a': '"a' * MANY,
    "\\": "\\" * MANY,
    "\\ in a string": '["' + "\\" * MANY,
    '\\" in a string': '["' + '\\"' * MANY,
    '\\" and spaces in a string': '["' + '\\"      ' * MANY + '"x',
    ", in a string": '["' + ", " * MANY + '"x',
    "”": '["' + "x”" * MANY,
    "'": "'" * MANY,
    "`": "`" * MANY,
    "spaces": "[1" + " " * MANY + "2",
    "lines": "\n" * MANY + "x",
    "a string without end": '["' + " " * MANY,
    "a string of lines": '["\n' + " \n" * MANY,
    "digits": "1" * MANY,
    "characters of numbers": "[" + "-1.e+" * MANY,
    "points": "." * MANY,
    "small letters": "a" * MANY,
    "capitals": "A" * MANY,
    "words": "[" + "a " * MANY,
    "a key": "{" + "a" * MANY,
    "a placeholder": "$" + "a" * MANY + " " * MANY + "x",
    "a long address": "[ https://a.bc/" + "//a:b" * MANY,
    "an address of many names": "[ https://" + "a." * MANY,
    "addresses": "[" + "https://a.bc/ " * MANY,
    "a long path": "[ /Repos/" + "a/" * MANY,
    "items without end": "[" + "1," * MANY,
    "a mistake at the end": "[" + '{"host": "x"}, ' * 10_000 + "]",
    "a mistake at the start": "[," + '{"host": "x"}, ' * 10_000 + "]",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_and_malformed_texts_are_answered_at_once_and_briefly(text: str) -> None:
    assert len(said(text)) < 1000


PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ "
SECRETS = st.lists(
    st.sampled_from(string.ascii_letters + string.digits + PUNCTUATION), min_size=12, max_size=40
).map("".join)
AROUND = [
    "{}",
    '"{}',
    '["{}", ]',
    '["{}"',
    "[{}]",
    '[{{"host": {}}}]',
    '[{{"host": "{}}}]',
    '[{{"host": "{}", "name": "x",}}]',
    '[{{"host": {}", "name": "x"}}]',
    '[{{"{}": 1,}}]',
    "[{{{}: 1}}]",
    '[{{"{}" 1}}]',
    "[{{'host': '{}'}}]",
    '["x”, "{}"]',
    '["{}”, "x"]',
    '[1 "{}"]',
    '["\\{}"]',
    '["{}\n"]',
    "[ // {}\n1]",
    '["x"] {}',
    '{{"x": 1}}, {}',
    "- host: {}",
    "WORKSPACES={}",
    "WORKSPACES='[\"{}\"]'",
    "@Microsoft.KeyVault({})",
    "$({})",
    "https://me:{}@dev.azure.com/a",
    '[{{"host": "https://me:{}@dev.azure.com/a",}}]',
    '[{{"host": https://me:{}@dev.azure.com/a}}]',
    '[{{"host": "https://me:{}@dev.azure.com/a}}]',
    '[{{"url": "https://dev.azure.com/a?token={}",}}]',
]


def pieces(secret: str) -> list[str]:
    """Return all pieces of six characters with at least one letter or digit."""
    found = (secret[at : at + 6] for at in range(len(secret) - 5))
    return [piece for piece in found if re.search("[0-9A-Za-z]", piece)]


@given(SECRETS, st.sampled_from(AROUND))
def test_no_piece_of_a_secret_is_shown_wherever_it_is(secret: str, around: str) -> None:
    message = str(refused(around.format(secret)))
    assert not [piece for piece in pieces(secret) if piece in message]


IN_ADDRESSES_AND_PATHS = {
    at
    for found in re.finditer(r'(?<=")(https:|/)[^"]+', DOCUMENT)
    for at in range(found.start() + 1, found.end() + 1)
}
ELSEWHERE = sorted(set(range(len(DOCUMENT) + 1)) - IN_ADDRESSES_AND_PATHS)
MISTAKES = ["", ",", '"', "”", "]", "}", " x", "\\", "\n", "@"]


@given(SECRETS, st.sampled_from(ELSEWHERE), st.integers(-30, 30), st.sampled_from(MISTAKES))
def test_no_piece_of_a_secret_is_shown_whatever_mistake_is_near(
    secret: str, at: int, near: int, mistake: str
) -> None:
    text = DOCUMENT[:at] + secret + DOCUMENT[at:]
    wrong = max(0, at + near)
    message = str(refused(text[:wrong] + mistake + text[wrong:]))
    assert not [piece for piece in pieces(secret) if piece in message]


PASSWORDS = [
    'p"ssw0rd/x1y2',
    "12/34ssw0rd@x.yz",
    "https://s3cret.word",
    "pa ss:w0rd12",
    "p{ass}w0rd,12",
    "p”ssw0rd12",
    "p\\ssw0rd12",
    "1:2:3ssw0rd",
    "12/s3cret word",
]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("around", [one for one in AROUND if "me:{}@" in one])
@pytest.mark.parametrize("user", ["me", "me.you"])
def test_the_password_of_a_url_is_not_shown_with_any_characters_in_it(
    password: str, around: str, user: str
) -> None:
    message = said(around.format(password).replace("me:", f"{user}:"))
    assert not [word for word in re.findall(r"\w{3,}", password) if word in message and word != "https"]


@pytest.mark.parametrize(
    "word",
    [
        "C0ntosoS3cret",
        "/S3cret/etl",
        "ftp://s3cret.com",
        "hosts3cret",
        "true!s3cret",
        "https://s3cret",
        "https://my.s3cret:12/x",
        "/Reposs3cret",
    ],
)
def test_a_word_that_is_not_known_to_be_harmless_is_not_shown(word: str) -> None:
    assert "3cret" not in said(f'[{{"host": "{word}", "{word}": {word}, }}]')


@pytest.mark.parametrize(
    "word",
    [
        A,
        f"{A}/x:y/",
        "http://x.contoso.com",
        "/Repos/me@contoso.com/etl",
        "/Workspace/Shared/x",
        "managed_identity",
        "additional_principal_ids",
    ],
)
def test_a_word_that_is_known_to_be_harmless_is_shown_whole(word: str) -> None:
    assert f'["{word}", <-- HERE ]' in said(f'["{word}",]')


def test_a_query_and_what_looks_like_a_token_are_cut_from_an_address() -> None:
    text = f'["{A}/a/dapi0123456789abcdef0123456789abcdef?sig=hunter2",]'
    assert said(text).endswith(f'At: ["{A}/a/***", <-- HERE ]')


def test_long_texts_are_shown_cut_between_words() -> None:
    text = f'[{{"name": "x", "client_id": "y", "host": "{A}", "tag": "z",, "folders": ["/Repos/a/b", "/Repos/c/d"]}}]'
    assert said(text).endswith(f'At: … "{A}", "tag": "…",, <-- HERE "folders": ["/Repos/a/b" …')
