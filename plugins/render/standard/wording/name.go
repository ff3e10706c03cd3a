package wording

import "strings"

// Addressed adds 様 to a name that has no form of address yet.
func (l Lang) Addressed(name string) string {
	name = strings.TrimSpace(name)
	if l == English || strings.HasSuffix(name, "様") || strings.HasSuffix(name, "御中") {
		return name
	}
	return name + " 様"
}
