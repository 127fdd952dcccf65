"""The mistakes that people make in JSON: what stands where something else is due, and what to write."""

NO_CLOSING_QUOTE = 'this text has no closing quote; write " where it ends'
OUTER_QUOTES = (
    "the whole value stands in quotes, as in local.settings.json; "
    'remove the first and the last ", and every \\ before a "'
)
_NOT_FILLED_IN = "this placeholder was never filled in; write the value itself"
_PLACEHOLDER = r"(?:%[\w.]+%|\$\([\w.]+\)|\$\{[\w.:-]+\}|\{\{[^{}]*\}\}|#\{[^{}]*\}#?|__\w+__|\$\w+)"
CURLY = "“”„‟‘’‚‛«»‹›″′´＂"  # noqa: RUF001  # the point of it

# What may be due where a mistake is found.
VALUE = "item first-item value"
KEY = "key first-key"
NEXT = "next-item next-pair"
END = "end-object end-array end-text"
_ANY = f"start {VALUE} {KEY} colon {NEXT} {END}"

# By what is due: what stands there instead, and what is wrong then. The first that fits is said. "whole" is asked before anything is read.
# A pattern that only looks ahead is about what was read last; an empty one about what is missing behind that.
MISTAKES = [
    ("whole", r"@Microsoft\.KeyVault\b",
     "Azure could not put the secret in place of this Key Vault reference; see the status beside this setting in the portal"),
    ("whole", rf'"?{_PLACEHOLDER}"?\s*$', f"{_NOT_FILLED_IN}, or set the variable in the pipeline that fills it in"),
    ("whole",
     r"""(?:(?:export|set|setx|ENV|env|const|let|var|-e|--settings)\s+|\$env:)?["']?(?:[A-Z][A-Z_]{3,}|workspaces)["']?\s*[=:](?!//)""",
     "the setting's name was pasted along; paste only its value, from the first [ or { to the last ] or }"),
    ("whole", r"'\s*[\[{\"]", "the shell's quotes were pasted along; remove the ' at the start and the ' at the end"),
    ("whole", r"`+\w*\s*[\[{]", "the ` of a chat message were pasted along; remove them at the start and at the end"),
    ("whole", rf'["{CURLY}]\s*(?:\\*"\s*)?[\[{{]', OUTER_QUOTES),
    ("whole", r"<", "this is a web page, or a placeholder in < >; write the value itself, which starts with [ or {"),
    ("whole", r"https?://|[\w.-]+\.azuredatabricks\.net",
     'an address must stand in quotes, and all of them in [ ]; write ["https://…"], or ["https://…", "https://…"]'),
    ("whole", r"-(?:\s|--)|[a-z_]+:(?:\s|$)", "this is YAML; write JSON, which starts with [ or {"),
    (_ANY, r"…|\.\.\.?", "the … of an example was left in; write what it stands for, or remove it"),
    (VALUE, _PLACEHOLDER, f"{_NOT_FILLED_IN}, in double quotes"),
    (_ANY, r"//|/\*|#", "a comment starts here, and JSON has no comments; remove it"),
    (_ANY, r"\\[nrt]?", "a FOUND stands outside of quotes, as in text copied from local.settings.json; remove it, here and elsewhere"),
    (END, rf"[\"'`{CURLY}](?=\s*$)", "a quote stands after the end; remove it"),
    (_ANY, rf"[{CURLY}]", 'FOUND is a curly quote; type the plain " instead, here and elsewhere'),
    (_ANY, r"['`]", 'FOUND is not a double quote; write " instead, here and elsewhere'),
    ("first-item first-key", r",", "a comma stands right after the opening bracket; remove it"),
    ("item key", r",", "two commas stand in a row; remove one"),
    ("next-item", r",(?=\s*\])", "a comma stands before the closing ]; remove it"),
    ("next-pair", r",(?=\s*\})", "a comma stands before the closing }; remove it"),
    ("value", r"[,}\]]", "the value after the colon is missing; write it, or remove the key too"),
    ("value", r":", "two colons stand in a row; remove one"),
    ("value", r"=>?", "a FOUND stands after the colon; remove it"),
    ("colon", r"(?=[,}])", 'this key has no value; write "key": value'),
    ("colon", r"(?=\])", 'this text stands in { }, where only "key": value may; write } before it, or [ where its list begins'),
    ("colon", r"=>?|->|;", "a FOUND stands where a colon should; write : instead"),
    (KEY, r":", 'the key before the colon is missing; write "key": value'),
    ("key", r"\{", "a { stands where a key should; write } before the comma, to end the entry there"),
    ("first-key", r"\{", "two { stand in a row; remove one"),
    (NEXT, r"[;|&]", "a FOUND stands where a comma should; write , instead"),
    (NEXT, r'[^\w":,{}\[\]+.$%-]', "a FOUND stands where a comma or a closing bracket should; write that instead"),
    ("next-item", r"(?=:)", '"key": value may only stand in { }; write { before it, or ] if the list ends here'),
    ("next-pair", r":", 'a second colon stands behind one key; write "key": value, "key": value'),
    ("end-text", r":", "the brackets are missing; write { at the start and } at the end"),
    (END, r"[\]}]", "this FOUND closes nothing; remove it, or write the bracket that should open it"),
    (END, r";|,(?=\s*$)", "a FOUND stands after the end; remove it"),
    ("end-object", r"[,{]", "another entry follows the first; put [ ] around all of them, and a comma between them"),
    ("end-text", r'[,"]', "another text follows the first; put [ ] around all of them, and a comma between them"),
    ("end-array", r'[,\[{"]', "more follows after the closing ]; write all entries in one [ ], with a comma between them"),
    (VALUE, r"[\[{]", "far too many brackets are open here, one inside the other; remove those that are too many"),
    (VALUE, r"(?:None|NULL|Null|nil|undefined|NaN|-?Infinity)\b", "JSON does not know FOUND; leave the key out instead"),
    (VALUE, r"(?:True|TRUE|False|FALSE)\b", "FOUND must stand in small letters; write true or false"),
    (VALUE, r"[\d-][\d.eE+-]{299}", "this number is far too long; shorten it, or write it in double quotes if it is text"),
    (VALUE, r"-?0\d+(?![\w.-])", "a number cannot start with 0; remove the 0, or write it in double quotes if it is text"),
    (VALUE, r"\+[\d.]+(?![\w.-])", "a number cannot start with +; remove the +"),
    (VALUE, r"-?(?:\.\d+|\d+\.)(?![\w.-])", "a number needs a digit on both sides of the point; write 0.5 or 5.0"),
    (VALUE, r"0[xX][0-9a-fA-F]+(?![\w.-])", "JSON does not know 0x; write the number without it, or in double quotes if it is text"),
    (VALUE, r'[^\s",{}\[\]][^"\n,{}\[\]]*"(?=\s*(?:[,}\]]|$))', 'this text has a closing quote but no opening one; write " before it'),
    (VALUE, r'(?:[^\s",:{}\[\]]|:(?=/))*\w', 'this text has no quotes; write " before and after it'),
    (KEY, r'\w+"(?=\s*[:=])', 'this key has a closing quote but no opening one; write " before it'),
    (KEY, r'[^\s",:={}\[\]]+', 'this key has no quotes; write " before and after it'),
    (KEY, r"\S", 'here must be a key in double quotes; write "key": value'),
    ("next-item", r"", "a comma is missing between two items; write , here"),
    ("next-pair", r"", 'a comma is missing before the next "key": value; write , here'),
    ("colon", r"", "a colon is missing between key and value; write : here"),
    ("start", r"\S", "JSON starts with [ or {, and this does not; write the value anew, or copy it again"),
    (VALUE, r"\S", "here must be a value; write text in double quotes, a number, true, false, null, [ ] or { }"),
    (END, r"\S", "the JSON is complete before this; remove what follows"),
]  # fmt: skip
