package email

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/kakitome/kakitome/engine/private"
)

// deliver gives a letter to the relay. An empty reason: the relay has it. code is what the relay answered; 0: nothing.
func (e *Emails) deliver(ctx context.Context, l *letter) (reason string, code int) {
	m, err := l.message(e.o.Config.From)
	if err != nil {
		e.o.Log.Error("mail cannot be written", "err", err) // of our own words: it names a header, never the address
		return ReasonRefused, 0
	}
	c, err := e.client()
	if err != nil {
		e.o.Log.Error("mail relay cannot be used", "err", err)
		return ReasonUnreachable, 0
	}
	err = c.DialAndSendWithContext(ctx, m)
	if err == nil {
		return "", 0
	}
	var refused *mail.SendError
	if !errors.As(err, &refused) { // before any mail was named: connection, TLS, login
		e.o.Log.Warn("mail relay is not reached", "err", err)
		return ReasonUnreachable, 0
	}
	switch code = refused.ErrorCode(); {
	case refused.Reason == mail.ErrSMTPReset: // after the mail was taken
		return "", code
	case code >= 500:
		return ReasonRefused, code
	case code >= 400:
		return ReasonTemporary, code
	}
	return ReasonUnreachable, code
}

// client is one connection's. It is made for each mail: the password is read anew, and mails are few.
func (e *Emails) client() (*mail.Client, error) {
	c := &e.o.Config
	host, port, err := net.SplitHostPort(c.Relay)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("port of the relay: %w", err)
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		if config.RootCAs, err = roots(c.CA); err != nil {
			return nil, err
		}
	}
	options := []mail.Option{mail.WithPort(n), mail.WithTimeout(c.timeout()), mail.WithTLSConfig(config), mail.WithTLSPolicy(mail.TLSMandatory)}
	switch c.TLS {
	case Implicit:
		options = append(options, mail.WithSSL())
	case NoTLS:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if c.Hello != "" {
		options = append(options, mail.WithHELO(c.Hello))
	}
	if c.User != "" {
		password, err := private.Read(c.PasswordFile)
		if err != nil {
			return nil, err
		}
		auth := mail.SMTPAuthAutoDiscover
		if c.TLS == NoTLS {
			auth = mail.SMTPAuthPlainNoEnc // to this machine
		}
		options = append(options, mail.WithSMTPAuth(auth), mail.WithUsername(c.User), mail.WithPassword(strings.TrimRight(string(password), "\r\n")))
	}
	return mail.NewClient(host, options...)
}

// message is the letter as a mail.
func (l *letter) message(from string) (*mail.Msg, error) {
	m := mail.NewMsg()
	if err := m.From((&netmail.Address{Name: l.sender, Address: from}).String()); err != nil {
		return nil, fmt.Errorf("from: %w", errHeader)
	}
	if err := m.To(l.to); err != nil {
		return nil, fmt.Errorf("to: %w", errHeader)
	}
	m.Subject(l.subject)
	m.SetMessageIDWithValue(l.id + "@" + from[strings.LastIndexByte(from, '@')+1:])
	m.SetDateWithValue(l.at)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: nobody's robot answers
	m.SetGenHeader("X-Auto-Response-Suppress", "OOF, AutoReply")
	m.SetBodyString(mail.TypeTextPlain, l.body)
	if len(l.sheet) > 0 {
		if err := m.AttachReader(l.sheetName, bytes.NewReader(l.sheet), mail.WithFileContentType("application/pdf")); err != nil {
			return nil, fmt.Errorf("attach the sheet: %w", err)
		}
	}
	return m, nil
}

var errHeader = errors.New("is no address that a mail can have")
