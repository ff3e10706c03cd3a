package main

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How well each answer keeps out somebody who knows nothing of the person, but how such answers are spread, and tries the likeliest
// ones first. Each figure is rather too small than too large.
//
//	birth_date       15,000     some 28,000 days lie between the ages of 18 and 95. The fullest year had 2,091,983 births (1973,
//	                            人口動態統計 of the Ministry of Health): 5,700 a day among some 105 million adults, 1 in 18,000; less
//	                            still where the sender's customers are of one generation (policy.birth_years)
//	kana_name         2,000     佐藤 and 鈴木 are each 1.5 % of all family names (1 in 66), read alike by all; the readings of given
//	                            names that are in fashion in one generation are 1 to 3 % of it. No register is public: an estimate
//	customer_number  10^(n-3)   of n digits one is taken for a check digit, and of the numbers that are left one in a hundred for
//	                            given; they are given one after the other. 1,000 for six digits, at most 1,000,000. Letters count as
//	                            a prefix that all have
//	phone             1,000     ten million numbers a prefix; but many who hold a link know the number that it was sent to. Who holds
//	                            the phone does, and engine/identity counts this apart
//	postcode             20     some 120,000 are in use, but a local sender's customers live in one town, and a twentieth of them in
//	                            its largest part
//	passcode         c^n / 10   of n characters of an alphabet of c (10 digits, 26 letters of one case), given by the sender; a
//	                            tenth, for passcodes that are chosen by people are not spread evenly. 1,000 for four digits
//	free                  –     nobody knows what is asked: it counts as nothing, and that is said

// mostPasscodes bounds what a long passcode counts for.
const mostPasscodes = 1e12

// oneIn is the figure of one answer, in its canonical form, where its length says more than its field; 0: it does not.
func oneIn(field, form string) uint64 {
	switch field {
	case "customer_number":
		digits := 0
		for _, r := range form {
			if '0' <= r && r <= '9' {
				digits++
			}
		}
		return uint64(math.Pow10(max(min(digits-3, 6), 0)))
	case "passcode":
		size := 0.0
		if strings.ContainsFunc(form, unicode.IsDigit) {
			size += 10
		}
		if strings.ContainsFunc(form, unicode.IsLower) {
			size += 26
		}
		if strings.ContainsFunc(form, unicode.IsUpper) {
			size += 26
		}
		all := math.Pow(max(size, 10), float64(utf8.RuneCountInString(form)))
		return uint64(max(min(all, mostPasscodes)/10, 1))
	}
	return 0
}
