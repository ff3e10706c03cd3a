package dlr

// Pair is the id of one submission as it stood in submit_sm_resp and in its delivery receipt.
type Pair struct{ Response, Receipt string }

// proposals are the rules in the order in which they are proposed, the strictest first.
var proposals = []string{"text", "fold", "decimal", "hex", "hex/decimal", "decimal/hex"}

// Propose returns the id rules under which all pairs match, the strictest first; none when there is no such rule. More
// pairs leave fewer: "12345678" on both sides fits most of them.
func Propose(pairs []Pair) (rules []string) {
	for _, text := range proposals {
		rule, err := ParseIDRule(text)
		if err != nil {
			panic("BUG: proposed id rule: " + err.Error())
		}
		fits := len(pairs) > 0
		for _, p := range pairs {
			fits = fits && rule.FromResponse(p.Response) == rule.FromReceipt(p.Receipt)
		}
		if fits {
			rules = append(rules, text)
		}
	}
	return rules
}
