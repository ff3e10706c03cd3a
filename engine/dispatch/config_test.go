package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
)

func TestConfigNamesEveryFault(t *testing.T) {
	require.Empty(t, DefaultConfig().Validate())
	c := Config{Doubt: "hope", Class: []ClassRule{{"otp", "resend"}, {"otp", "wait"}, {"spam", "x"}}, Quiet: []tenant.Quiet{{Class: "otp", From: "1:00", To: "2:00"}, {Class: "*", From: "25:00", To: "1:00"}},
		Status: []StatusRule{{Meaning: "maybe"}, {Codes: []int64{0}, Meaning: "throttle", Waits: []int{1}}, {Codes: []int64{8}, Meaning: "retry", Waits: []int{0}}}}
	var faults []string
	for _, err := range c.Validate() {
		faults = append(faults, err.Error())
	}
	require.Len(t, faults, 12, "%q", faults)
	for i, field := range []string{"doubt", "doubt_wait_seconds", "class[1].class", "class[2].class", "class[2].doubt", "quiet[0]", "quiet[1]", "status[0].codes", "status[0].meaning", "status[1].codes", "status[1].waits", "status[2].waits"} {
		require.Contains(t, faults[i], field+":")
	}
}

func TestCarriersHaveTheirOwnMeanings(t *testing.T) {
	c := DefaultConfig()
	c.Status = []StatusRule{{Carrier: "docomo", Codes: []int64{0x401, 0x0b}, Meaning: "retry", Waits: []int{5, 60}}, {Codes: []int64{0x401}, Meaning: "throttle"}}
	for _, x := range []struct {
		carrier string
		status  pdu.Status
		want    verdict
		waits   int
	}{
		{"docomo", 0x401, retry, 2}, {"docomo", pdu.StatusInvalidDestination, retry, 2}, {"au", pdu.StatusInvalidDestination, refuse, len(backOff)},
		{"au", 0x401, throttle, len(backOff)}, {"au", 0x402, refuse, len(backOff)}, {"docomo", pdu.StatusThrottled, throttle, len(backOff)}, {"docomo", pdu.StatusSystemError, retry, len(backOff)},
	} {
		v, waits := c.meaning(x.carrier, x.status)
		require.Equal(t, x.want, v, "%+v", x)
		require.Len(t, waits, x.waits, "%+v", x)
	}
	_, waits := c.meaning("docomo", 0x401)
	require.Equal(t, []time.Duration{5 * time.Second, time.Minute}, waits)
}

func TestClassesHaveTheirOwnDoubt(t *testing.T) {
	c := DefaultConfig()
	require.Equal(t, message.DoubtWait, c.doubt(message.Billing))
	require.Equal(t, message.DoubtFail, c.doubt(message.OTP))
	c.Doubt = "resend"
	require.Equal(t, message.DoubtResend, c.doubt(message.Billing))
	require.Equal(t, message.DoubtFail, c.doubt(message.OTP), "only if it is named")
	c.Class = []ClassRule{{"otp", "resend"}, {"collection", "fail"}}
	require.Equal(t, message.DoubtResend, c.doubt(message.OTP))
	require.Equal(t, message.DoubtFail, c.doubt(message.Collection))
}
