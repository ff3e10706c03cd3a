package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
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
		require.True(t, at(c.want).Equal(Release(at(c.now), c.class, c.window, 0)), "%+v: %s", c, Release(at(c.now), c.class, c.window, 0))
	}
	now := at("07-01 22:00")
	require.NotEqual(t, Release(now, message.Collection, nil, 1), Release(now, message.Collection, nil, 2), "released one after the other")
	require.Equal(t, at("07-01 12:00"), Release(at("07-01 12:00"), message.Collection, nil, 7), "no delay where nothing holds")
}
