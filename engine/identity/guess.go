package identity

import (
	"math"
	"slices"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// Guessable is how many people a chain should let one of in at most; below, it is warned of.
const Guessable = 1000

// allTries of a step are had before a message is closed until somebody unlocks it, whatever the browsers, addresses and days.
const allTries = locksToStay * MaxTries

// mostOneIn bounds the figure: beyond it nobody asks.
const mostOneIn = 1e15

// phoneField is the field whose answer everybody knows who holds the phone.
const phoneField = "phone"

// Guess says how well a chain keeps people out who have the link and know nothing of the person. A person knows it all: against
// the family, and whoever knows name and birth date, only the code helps.
//
// The model. Somebody tries the likeliest answers first. An answer is hit once in AuthField.one_in guesses, which its module says
// with its sources (of the answer itself where its length matters, else of the field; "birth_date" is at most 365 times
// Policy.BirthYears). The items of a chain are asked at once and one word is said for all, so theirs multiply: they are taken for
// independent of each other. A code of d digits is hit once in 10^d, for it is drawn evenly. Of a step allTries (15) are had for
// ever, by all who try together: every fifth locks, and the third lock stays; a new code does not begin anew, and neither does
// another session, address or day. So a step of which one in N is right is passed by allTries in N of those who try, or by all,
// and a chain by the product of its steps. Tries that count against a code need the items to be right first, and the locks of both
// steps are counted together: the true chance is smaller.
type Guess struct {
	// OneIn: one of so many gets in who have the link alone. 1: everybody.
	OneIn uint64
	// Holding: one of so many who hold the phone as well, as somebody does who got what is for another. They know its number and get
	// the code.
	Holding uint64
	// Unknown are the fields of whose answers nobody knows how they are spread. They count as nothing.
	Unknown []string
}

// Warns reports whether the chain is too easy.
func (g Guess) Warns() bool { return g.OneIn < Guessable }

// GuessOf works out the guess of a chain. answers are as Enroll gave them; digits are those of a code behind them, 0: there is none.
func GuessOf(t *tenant.Tenant, answers []message.Answer, digits int) Guess {
	var g Guess
	items, holding := 1.0, 1.0
	for _, a := range answers {
		one := float64(a.OneIn)
		if years := t.Policy.BirthYears; a.Field == "birth_date" && years > 0 {
			one = min(one, float64(years*365))
		}
		if a.OneIn == 0 {
			one = 1
			if !slices.Contains(g.Unknown, a.Field) {
				g.Unknown = append(g.Unknown, a.Field)
			}
		}
		items *= max(one, 1)
		if a.Field != phoneField {
			holding *= max(one, 1)
		}
	}
	all := step(items)
	if digits > 0 {
		all *= step(math.Pow10(digits))
	}
	g.OneIn, g.Holding = uint64(min(all, mostOneIn)), uint64(min(step(holding), mostOneIn))
	return g
}

// ChainGuess works out the guess of what every message of the tenant asks for (Policy.Identity), by fields alone: an answer whose length
// matters counts as one of the usual length. A field that no module knows now counts as nothing.
func (id *Identity) ChainGuess(t *tenant.Tenant) Guess {
	c, digits := t.Policy.Identity, 0
	if c.Code {
		digits = t.Policy.Digits()
	}
	answers := make([]message.Answer, len(c.Fields))
	for i, name := range c.Fields {
		_, f := id.field(name)
		answers[i] = message.Answer{Field: name, OneIn: f.GetOneIn()}
	}
	return GuessOf(t, answers, digits)
}

// step is of how many one gets past a step where one in n answers is right.
func step(n float64) float64 { return max(n/allTries, 1) }
