"""Table of common mistakes in JSON: expected token, text found instead, and fix."""

from git_refresh.settings.pasted import TEMPLATE

NO_CLOSING_QUOTE = 'this string has no closing quote; add " where it ends'
OUTER_QUOTES = (
    "the whole value is in quotes, as in local.settings.json; "
    'remove the first and the last ", and every \\ before a "'
)
_NOT_FILLED_IN = "this placeholder was never filled in; write the value itself"
_PLACEHOLDER = rf"(?:%[\w.]+%|{TEMPLATE}|\$\{{[\w.:-]+\}}|__\w+__|\$\w+)"
CURLY = "“”„‟‘’‚‛«»‹›″′´＂"  # noqa: RUF001  # curly quotes on purpose

# Expected tokens at the position of a mistake.
VALUE = "item first-item value"
KEY = "key first-key"
NEXT = "next-item next-pair"
END = "end-object end-array end-text"
_ANY = f"start {VALUE} {KEY} colon {NEXT} {END}"

REFERENCE = (
    r"@Microsoft\.KeyVault\b",
    "Azure could not resolve this Key Vault reference; see the status of this setting in the portal",
)
"""Pattern and message of an unresolved reference to a secret. The message shows no part of the value."""

# Expected tokens, pattern of the found text, message. The first match applies. Rows with "whole" are tried first.
# A pattern that is only a lookahead means a mistake in the previous token. An empty one means a missing token.
MISTAKES = [
    ("whole", rf'"?{_PLACEHOLDER}"?\s*$', f"{_NOT_FILLED_IN}, or set the variable in the pipeline that fills it in"),
    ("whole",
     r"""(?:(?:export|set|setx|ENV|env|const|let|var|-e|--settings)\s+|\$env:)?["']?(?:[A-Z][A-Z_]{3,}|workspaces)["']?\s*[=:](?!//)""",
     "the name of the setting was pasted too; paste only its value, from the first [ or { to the last ] or }"),
    ("whole", r"@\{|System\.(?:Object|String|Collections|Management)\b",
     "ConvertTo-Json of PowerShell leaves this of a nested value; add -Depth 10 to ConvertTo-Json"),
    ("whole", r"'\s*[\[{\"]", "the shell's quotes were pasted too; remove the ' at the start and the ' at the end"),
    ("whole", r"`+\w*\s*[\[{]", "the ` of a code block were pasted too; remove them at the start and at the end"),
    ("whole", rf'["{CURLY}]\s*(?:\\*"\s*)?[\[{{]', OUTER_QUOTES),
    ("whole", r"<", "this is a web page, or a placeholder in < >; write the value itself, which starts with [ or {"),
    ("whole", r"https?://|[\w.-]+\.azuredatabricks\.net",
     'an address must be in quotes, and all of them in [ ]; write ["https://…"], or ["https://…", "https://…"]'),
    ("whole", r"-(?:\s|--)|[a-z_]+:(?:\s|$)", "this is YAML; write JSON, which starts with [ or {"),
    (_ANY, r"…|\.\.\.?", "the … of an example was left in; replace it with the real value, or remove it"),
    (VALUE, _PLACEHOLDER, f"{_NOT_FILLED_IN}, in double quotes"),
    (_ANY, r"//|/\*|#", "JSON has no comments; remove this one"),
    (_ANY, r"\\[nrt]?", "there is a FOUND outside a string, as in text copied from local.settings.json; remove it, here and elsewhere"),
    (END, rf"[\"'`{CURLY}](?=\s*$)", "there is a quote after the end; remove it"),
    (_ANY, rf"[{CURLY}]", 'FOUND is a curly quote; use the plain " instead, here and elsewhere'),
    (_ANY, r"['`]", 'FOUND is not a double quote; use " instead, here and elsewhere'),
    ("first-item first-key", r",", "there is a comma right after the opening bracket; remove it"),
    ("item key", r",", "there are two commas in a row; remove one"),
    ("next-item", r",(?=\s*\])", "there is a comma before the closing ]; remove it"),
    ("next-pair", r",(?=\s*\})", "there is a comma before the closing }; remove it"),
    ("value", r"[,}\]]", "the value after the colon is missing; write it, or remove the key too"),
    ("value", r":", "there are two colons in a row; remove one"),
    ("value", r"=>?", "there is a FOUND after the colon; remove it"),
    ("colon", r"(?=[,}])", 'this key has no value; write "key": value'),
    ("colon", r"(?=\])", 'this string is inside { }, where only "key": value is allowed; write } before it, or [ where its list begins'),
    ("colon", r"=>?|->|;", "there is a FOUND instead of a colon; write :"),
    (KEY, r":", 'the key before the colon is missing; write "key": value'),
    ("key", r"\{", "there is a { where a key is expected; write } before the comma, to end the entry there"),
    ("first-key", r"\{", "there are two { in a row; remove one"),
    (NEXT, r"[;|&]", "there is a FOUND instead of a comma; write ,"),
    (NEXT, r'[^\w":,{}\[\]+.$%-]', "there is a FOUND instead of a comma or a closing bracket; write the one you need"),
    ("next-item", r"(?=:)", '"key": value is only allowed inside { }; write { before it, or ] if the list ends here'),
    ("next-pair", r":", 'there is a second colon after one key; write "key": value, "key": value'),
    ("end-text", r":", "the brackets are missing; write { at the start and } at the end"),
    (END, r"[\]}]", "this FOUND has no opening bracket; remove it, or add the opening bracket"),
    (END, r";|,(?=\s*$)", "there is a FOUND after the end; remove it"),
    ("end-object", r"[,{]", "another entry follows the first; put [ ] around all of them, and a comma between them"),
    ("end-text", r'[,"]', "another string follows the first; put [ ] around all of them, and a comma between them"),
    ("end-array", r'[,\[{"]', "there is more after the closing ]; put all entries into one [ ], with a comma between them"),
    (VALUE, r"[\[{]", "the brackets are nested too deeply; remove the extra ones"),
    (VALUE, r"(?:None|NULL|Null|nil|undefined|NaN|-?Infinity)\b", "FOUND is not valid JSON; leave the key out instead"),
    (VALUE, r"(?:True|TRUE|False|FALSE)\b", "FOUND must be in lower case; write true or false"),
    (VALUE, r"[\d-][\d.eE+-]{299}", "this number is too long; shorten it, or put it in double quotes if it is a string"),
    (VALUE, r"-?0\d+(?![\w.-])", "a number cannot start with 0; remove the 0, or put it in double quotes if it is a string"),
    (VALUE, r"\+[\d.]+(?![\w.-])", "a number cannot start with +; remove the +"),
    (VALUE, r"-?(?:\.\d+|\d+\.)(?![\w.-])", "a number needs a digit on both sides of the decimal point; write 0.5 or 5.0"),
    (VALUE, r"0[xX][0-9a-fA-F]+(?![\w.-])",
     "JSON has no hexadecimal numbers; write this one in decimal, or put it in double quotes if it is a string"),
    (VALUE, r'[^\s",{}\[\]][^"\n,{}\[\]]*"(?=\s*(?:[,}\]]|$))', 'this string has a closing quote but no opening one; add " before it'),
    (VALUE, r'(?:[^\s",:{}\[\]]|:(?=/))*\w', 'this string has no quotes; add " before and after it'),
    (KEY, r'\w+"(?=\s*[:=])', 'this key has a closing quote but no opening one; add " before it'),
    (KEY, r'[^\s",:={}\[\]]+', 'this key has no quotes; add " before and after it'),
    (KEY, r"\S", 'a key in double quotes is expected here; write "key": value'),
    ("next-item", r"", "a comma is missing between two items; write , here"),
    ("next-pair", r"", 'a comma is missing before the next "key": value; write , here'),
    ("colon", r"", "a colon is missing between key and value; write : here"),
    ("start", r"[^\n\[{]*\r?\n-{3,}(?: +-{3,})* *\r?(?:\n|$)", "this is table output of az; add --output json to the command"),
    ("start", r"[^\n\t\[{]+\t", "this is the output of az, but not JSON; add --output json to the command"),
    ("start", r"\S", "JSON starts with [ or {, but this does not; write the value again, or copy it again"),
    (VALUE, r"\S", "a value is expected here; write a string in double quotes, a number, true, false, null, [ ] or { }"),
    (END, r"\S", "the JSON ends before this; remove the rest"),
]  # fmt: skip
