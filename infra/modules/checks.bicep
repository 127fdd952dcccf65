// Parameter checks of main.bicep.

var nameCharacters = 'abcdefghijklmnopqrstuvwxyz0123456789-'

@export()
@description('True if a text has only letters, digits and hyphens.')
func isName(text string) bool =>
  empty(filter(range(0, length(text)), at => !contains(nameCharacters, toLower(substring(text, at, 1)))))

@export()
@description('True if a text is a resource ID of the same type as the example.')
func isIdLike(text string, example string) bool =>
  startsWith(text, '/') && !endsWith(text, '/') && !contains(text, '//') && kindsIn(text) == kindsIn(example)

func kindsIn(id string) string[] =>
  map(filter(range(0, length(split(id, '/'))), at => at % 2 == 1), at => toLower(split(id, '/')[at]))

@export()
@description('Size of an array as JSON, in bytes of UTF-8.')
#disable-next-line use-user-defined-types // of any items
func sizeOfArray(items array) int =>
  reduce(map(items, each => bytesIn(string([each])) - 1), 1, (sum, size) => sum + size)

@export()
@description('Size of an object as JSON, in bytes of UTF-8.')
#disable-next-line use-user-defined-types // of any keys
func sizeOfObject(whole object) int =>
  reduce(
    map(items(whole), each => bytesIn(string(toObject([each], pair => pair.key, pair => pair.value))) - 1),
    1,
    (sum, size) => sum + size
  )

// Azure limits texts in expressions to 131,072 characters, and base64 is longer than its input.
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
