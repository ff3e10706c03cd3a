package page

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// MenuEntry is one message to choose from.
type MenuEntry struct {
	Name  string // what is posted to open it
	Title string
	Sent  time.Time
}

// SetMenu puts messages to choose from into a MENU. Pages show no more of their time than the minute.
func SetMenu(p *proto.Page, entries []MenuEntry) {
	for _, e := range entries {
		p.Entries = append(p.Entries, &proto.Entry{Name: e.Name, Title: valid(e.Title), Sent: timestamppb.New(e.Sent.Truncate(time.Minute))})
	}
}
