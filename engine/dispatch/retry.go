package dispatch

import (
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// verdict is what a command_status other than ESME_ROK means for the message.
type verdict byte

const (
	refuse   verdict = iota // the carrier said no for good
	retry                   // the carrier cannot now: again after a step of backOff
	throttle                // too fast: again soon; the bind slows down
)

// verdicts by command_status, where Config.Status says nothing else; what is not listed is refused. SMPP 3.4 §5.1.3
var verdicts = map[pdu.Status]verdict{
	pdu.StatusThrottled:              throttle,
	pdu.StatusMessageQueueFull:       throttle,
	pdu.StatusSystemError:            retry,
	pdu.StatusSubmitFailed:           retry,
	pdu.StatusReceiverTemporaryError: retry,
	pdu.StatusInvalidBindStatus:      retry, // the session's fault, not the message's
	pdu.StatusDeliveryFailure:        retry,
	pdu.StatusUnknownError:           retry,
}

// backOff is the wait before each next try, where Config.Status says nothing else. Behind its end the message is refused as retries_spent.
var backOff = []time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// A throttled message steps aside for throttleWait times its submissions so far, at most throttleMax: a carrier that throttles
// for hours does not fill the message's record.
const (
	throttleWait = time.Second
	throttleMax  = time.Minute
)
