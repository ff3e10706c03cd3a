package message

import (
	"bytes"
	"encoding/json"
)

// Attachment is an uploaded PDF behind a page. In JSON it is its id alone, or {"id", "title"}.
type Attachment struct {
	// ID is that of engine/document, or a name under which a file was uploaded: the newest of the name. Of an accepted message
	// it is the id.
	ID    string
	Title string // what the page calls it, at most 50 characters; empty: its name
}

type attachment struct {
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
}

// MarshalJSON writes an attachment without a title as its id, as all were before they could have one.
func (a Attachment) MarshalJSON() ([]byte, error) {
	if a.Title == "" {
		return json.Marshal(a.ID)
	}
	return json.Marshal(attachment(a))
}

// UnmarshalJSON reads both forms, and no field that it does not know.
func (a *Attachment) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = Attachment{}
		return json.Unmarshal(b, &a.ID)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*attachment)(a))
}

// AttachmentIDs are the ids of attachments in their order.
func AttachmentIDs(all []Attachment) []string {
	var ids []string
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	return ids
}

func (p *parser) attachment(a *Attachment) bool {
	if p.next() == '"' {
		return p.str(&a.ID)
	}
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "id":
			return o.first(0) && p.str(&a.ID)
		case "title":
			return o.first(1) && p.str(&a.Title)
		}
		return false
	})
}
