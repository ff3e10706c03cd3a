package document

import (
	"bytes"
	"compress/zlib"
	"io"
	"strconv"
)

// Pages is the number of pages that a PDF says it has; 0: it cannot be told. It is shown to people and decides nothing.
//
// The root of the page tree counts all pages, its branches theirs: the number is the greatest Count of a dictionary of type
// Pages, wherever it stands. ISO 32000-1 §7.7.3.2.
func Pages(pdf []byte) int {
	most := pagesIn(pdf)
	budget := int64(maxObjectStreams)
	for from := 0; budget > 0; {
		i := bytes.Index(pdf[from:], streamWord)
		if i < 0 {
			break
		}
		gap := pdf[from : from+i]
		data := bytes.TrimLeft(pdf[from+i+len(streamWord):], "\r\n")
		from += i + len(streamWord)
		if objects(gap) {
			if z, err := zlib.NewReader(bytes.NewReader(data)); err == nil {
				plain, _ := io.ReadAll(io.LimitReader(z, min(budget, maxObjectStream))) // what there is of it
				budget -= int64(len(plain))
				most = max(most, pagesIn(plain))
			}
		}
		if end := bytes.Index(pdf[from:], endstreamWord); end >= 0 {
			from += end + len(endstreamWord)
		}
	}
	return most
}

var (
	pagesName = []byte("/Pages")
	countName = []byte("/Count")
)

// What a dictionary is looked for in: so many bytes on each side of the type, so many times.
const maxDictionary, maxDictionaries = 64 << 10, 1000

func pagesIn(b []byte) (most int) {
	for from, found := 0, 0; found < maxDictionaries; {
		i := bytes.Index(b[from:], pagesName)
		if i < 0 {
			break
		}
		at := from + i
		from = at + len(pagesName)
		if from < len(b) && !delimiter(b[from]) || !bytes.HasSuffix(bytes.TrimRight(b[max(0, at-64):at], " \t\r\n"), []byte("/Type")) {
			continue
		}
		found++
		if n := countOf(dictionary(b, at)); n > most && n <= 100_000 {
			most = n
		}
	}
	return most
}

// dictionary is what stands between the innermost << and >> around a place, without the dictionaries within.
func dictionary(b []byte, at int) (own []byte) {
	start, depth := at, 0
	for low := max(0, at-maxDictionary); start > low; start-- {
		if b[start] == '>' && b[start-1] == '>' {
			depth++
			start--
		} else if b[start] == '<' && b[start-1] == '<' {
			if depth == 0 {
				break
			}
			depth--
			start--
		}
	}
	depth = 0
	for i, end := start+1, min(len(b), at+maxDictionary); i+1 < end; i++ {
		switch {
		case b[i] == '<' && b[i+1] == '<':
			depth++
			i++
		case b[i] == '>' && b[i+1] == '>':
			if depth--; depth < 0 {
				return own
			}
			i++
		case depth == 0:
			own = append(own, b[i])
		}
	}
	return own
}

func countOf(dict []byte) int {
	i := bytes.Index(dict, countName)
	if i < 0 {
		return 0
	}
	digits := bytes.TrimLeft(dict[i+len(countName):], " \t\r\n")
	n := 0
	for n < len(digits) && digits[n] >= '0' && digits[n] <= '9' {
		n++
	}
	count, _ := strconv.Atoi(string(digits[:n])) // 0 of a number that is none
	return count
}
