package journey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/plugins/proto"
)

// thought is how long somebody reads at least before pressing the button: programs that submit every form they find are faster.
const thought = 2 * time.Second

// mayDisown reports whether the visitor may say that the message is for somebody else: until they have shown who they are, and for
// as long as the link says anything.
func mayDisown(v *Visit) bool {
	return v.Standing >= Expired && (v.Session.Step != In || !v.Link.Identity)
}

// closed is what a link shows that shows nothing of its message: Gone or Stopped.
func (j *Journey) closed(v *Visit) *Screen {
	if v.Standing == Gone {
		return j.Gone(v.Lang)
	}
	return j.view(v, proto.View_STOPPED)
}

// Stranger is the page that says what お心当たりのない方 does, with its button. It changes nothing but the session, and says nothing of
// the addressee.
func (j *Journey) Stranger(v *Visit) *Screen {
	switch {
	case v.Standing < Expired:
		return j.closed(v)
	case !mayDisown(v):
		return nil
	}
	if v.Session.Asked == 0 {
		v.Session.Asked = j.Now().Unix()
	}
	return j.view(v, proto.View_STRANGER)
}

// Disown takes the visitor's word that the message is for somebody else: nothing but one-time codes is sent to the number by this
// tenant any more, and the link shows nothing more, until the sender takes it back. What robots do is not taken: neither that of
// programs that name themselves nor what comes sooner than somebody can have read.
func (j *Journey) Disown(ctx context.Context, v *Visit) (Next, error) {
	if !mayDisown(v) {
		return again, nil
	}
	in, err := j.load(ctx, v)
	if err != nil || v.Standing < Expired {
		return again, err
	}
	now := j.Now()
	if v.Session.Asked == 0 || now.Sub(time.Unix(v.Session.Asked, 0)) < thought || j.doubt(in) != "" {
		screen := j.Stranger(v)
		screen.Page.Message = say(v.Lang, "まだ停止していません。内容をお読みのうえ、もう一度ボタンを押してください。停止できないときは、お問い合わせ先までご連絡ください。",
			"Nothing was stopped yet. Please read this and press the button again. If that does not help, please contact us.")
		return Next{Screen: screen}, nil
	}
	err = j.DoNotSend.Disown(ctx, v.Link.Ref(), now)
	if errors.Is(err, store.ErrErased) { // nobody knows the number any more
		return again, nil
	}
	if err != nil {
		return again, fmt.Errorf("disown a message: %w", err)
	}
	return again, j.Links.Renew(ctx, v.Link.Ref())
}
