package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestQuietHoursAndWindows(t *testing.T) {
	at := func(s string) time.Time {
		tm, err := time.ParseInLocation("01-02 15:04", s, message.Tokyo)
		require.NoError(t, err)
		return tm.AddDate(2026, 0, 0)
	}
	for _, c := range []struct {
		now    string
		class  message.Class
		window *message.Window
		want   string
	}{
		{"07-01 12:00", message.Collection, nil, "07-01 12:00"},
		{"07-01 20:59", message.Collection, nil, "07-01 20:59"},
		{"07-01 21:00", message.Collection, nil, "07-02 08:00"},
		{"07-01 07:59", message.Collection, nil, "07-01 08:00"},
		{"07-31 23:30", message.Collection, nil, "08-01 08:00"},
		{"07-01 03:00", message.Billing, nil, "07-01 03:00"},
		{"07-01 03:00", message.OTP, nil, "07-01 03:00"},
		{"07-01 03:00", message.Billing, &message.Window{From: "09:00", To: "17:00"}, "07-01 09:00"},
		{"07-01 17:00", message.Billing, &message.Window{From: "09:00", To: "17:00"}, "07-02 09:00"},
		{"07-01 22:00", message.Collection, &message.Window{From: "00:00", To: "09:00"}, "07-02 08:00"},
		{"07-01 10:00", message.Collection, &message.Window{From: "19:00", To: "23:00"}, "07-01 19:00"},
		{"07-01 21:30", message.Collection, &message.Window{From: "19:00", To: "23:00"}, "07-02 19:00"},
	} {
		require.True(t, at(c.want).Equal(Release(at(c.now), c.class, c.window, nil, 0)), "%+v: %s", c, Release(at(c.now), c.class, c.window, nil, 0))
	}
	now := at("07-01 22:00")
	require.NotEqual(t, Release(now, message.Collection, nil, nil, 1), Release(now, message.Collection, nil, nil, 2), "released one after the other")
	require.Equal(t, at("07-01 12:00"), Release(at("07-01 12:00"), message.Collection, nil, nil, 7), "no delay where nothing holds")
}

func TestRulesAddToQuietHours(t *testing.T) {
	at := func(s string) time.Time {
		tm, err := time.ParseInLocation("2006-01-02 15:04", s, message.Tokyo)
		require.NoError(t, err)
		return tm
	}
	night := []tenant.Quiet{{Class: "billing", From: "22:00", To: "07:00"}}
	weekend := []tenant.Quiet{{Class: "*", Closed: []string{"sat", "sun", "holiday"}}, {Class: "notice", From: "12:00", To: "13:00"}}
	for _, c := range []struct {
		now   string
		class message.Class
		rules []tenant.Quiet
		want  string
	}{
		{"2026-07-01 23:00", message.Billing, night, "2026-07-02 07:00"},
		{"2026-07-01 06:59", message.Billing, night, "2026-07-01 07:00"},
		{"2026-07-01 23:00", message.Notice, night, "2026-07-01 23:00"},
		{"2026-07-01 12:30", message.Notice, weekend, "2026-07-01 13:00"},
		{"2026-07-04 12:30", message.Notice, weekend, "2026-07-06 00:00"}, // Saturday
		{"2026-07-04 12:30", message.OTP, weekend, "2026-07-04 12:30"},
		{"2026-05-02 10:00", message.Billing, weekend, "2026-05-07 00:00"}, // Sat, Sun, みどりの日, こどもの日, 振替休日
		{"2026-09-19 10:00", message.Billing, weekend, "2026-09-24 00:00"}, // Sat, Sun, 敬老の日, 国民の休日, 秋分の日
		{"2026-05-02 22:00", message.Collection, weekend, "2026-05-07 08:00"},
		{"2027-01-01 10:00", message.Billing, weekend, "2027-01-04 00:00"},
	} {
		got := Release(at(c.now), c.class, nil, c.rules, 0)
		require.True(t, at(c.want).Equal(got), "%+v: %s", c, got)
	}
}

// TestJitterStaysWithinTheOpening: a delay that led into the next hold would put a message off for ever.
func TestJitterStaysWithinTheOpening(t *testing.T) {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, message.Tokyo)
	short := &message.Window{From: "13:00", To: "13:05"}
	for seed := range uint32(600) {
		at := Release(noon, message.Billing, short, nil, seed)
		require.True(t, at.Equal(Release(at, message.Billing, short, nil, seed)), "%s is not open", at)
	}
}
