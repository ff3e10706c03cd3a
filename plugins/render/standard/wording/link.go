package wording

import "regexp"

// Patterns of what is a link in a sender's text. Addresses are ASCII, so that they end before Japanese text.
const (
	Address = `https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?(?:[/?#][A-Za-z0-9\-._~:/?#@!$&*+,;=%]*)?`
	// Labelled is a link with words of its own, [こちら](https://example.jp/) or [電話する](tel:03-1234-5678): its first group has the
	// words, its second where it goes.
	Labelled = `\[([^\[\]\n]{1,100})\]\((` + Address + `|tel:\+?[0-9-]{3,20})\)`
)

var labelled = regexp.MustCompile(Labelled)

// Spelled writes links with words of their own as paper shows them: こちら（https://example.jp/）.
func Spelled(s string) string { return labelled.ReplaceAllString(s, "${1}（${2}）") }
