// What main.bicep checks its parameters by, before anything is created.

var nameCharacters = 'abcdefghijklmnopqrstuvwxyz0123456789-'

@export()
@description('Whether a text has letters, digits and hyphens only.')
func isName(text string) bool =>
  empty(filter(range(0, length(text)), at => !contains(nameCharacters, toLower(substring(text, at, 1)))))

@export()
@description('Whether a text is the resource ID of such a resource as the example.')
func isIdLike(text string, example string) bool =>
  startsWith(text, '/') && !endsWith(text, '/') && !contains(text, '//') && kindsIn(text) == kindsIn(example)

func kindsIn(id string) string[] =>
  map(filter(range(0, length(split(id, '/'))), at => at % 2 == 1), at => toLower(split(id, '/')[at]))

@export()
@description('Length of the JSON of an array in bytes of UTF-8.')
#disable-next-line use-user-defined-types // of any items
func sizeOfArray(items array) int =>
  reduce(map(items, each => bytesIn(string([each])) - 1), 1, (sum, size) => sum + size)

@export()
@description('Length of the JSON of an object in bytes of UTF-8.')
#disable-next-line use-user-defined-types // of any keys
func sizeOfObject(whole object) int =>
  reduce(
    map(items(whole), each => bytesIn(string(toObject([each], pair => pair.key, pair => pair.value))) - 1),
    1,
    (sum, size) => sum + size
  )

// Azure works out no text of more than 131,072 characters, and base64 is longer than what it encodes: so in slices.
var sliceLength = 16384

func bytesIn(text string) int =>
  reduce(
    map(
      range(0, length(text) / sliceLength + 1),
      at => bytesInSlice(substring(text, at * sliceLength, min(sliceLength, length(text) - at * sliceLength)))
    ),
    0,
    (sum, size) => sum + size
  )

func bytesInSlice(text string) int =>
  length(base64(text)) / 4 * 3 - (endsWith(base64(text), '==') ? 2 : endsWith(base64(text), '=') ? 1 : 0)
