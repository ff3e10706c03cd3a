package journey

// Where the tenant wants it (Policy.ClaimMenu), a claim that is to be paid has a menu before its content: whoever got in sees it first, and
// goes on from there. In every other state of the claim the page of that state stands alone.

// Turn goes from the menu to the content, or back. It changes nothing but the session.
func (j *Journey) Turn(v *Visit, content bool) (Next, error) {
	if v.Session.Step == In {
		v.Session.Content = content
	}
	return again, nil
}
