package tenant

import "fmt"

// fault says what is wrong with the registration number; empty: nothing. A corporate number's first digit checks the others
// (法人番号の指定等に関する省令 2条): 9 less the remainder by 9 of their sum, every second from the right doubled. Those of
// individuals are not made that way and share only the form.
func (i *Issuer) fault() string {
	n := i.Registration
	switch {
	case n == "":
		return ""
	case !registrationPattern.MatchString(n):
		return "must be T and 13 digits"
	case i.Individual:
		return ""
	}
	sum := 0
	for k, c := range n[2:] { // from the left; the rightmost of 12 counts once
		sum += int(c-'0') * (1 + (k+1)%2)
	}
	if want := 9 - sum%9; int(n[1]-'0') != want {
		return fmt.Sprintf("has the check digit %c, by the other digits it is %d: one of them is wrong. For an issuer without a corporate number state individual = true", n[1], want)
	}
	return ""
}

// Registered is the number of a qualified invoice issuer that documents may show; empty: the issuer is none, or the number that
// was once stored cannot be one.
func (i *Issuer) Registered() string {
	if i.fault() != "" {
		return ""
	}
	return i.Registration
}
