"""What a mail address looks like, wherever one is taken."""

# The form that browsers take (WHATWG HTML, "valid email address"), with a dot in the domain: one mailbox, no
# comments, no quotes, nothing that could end a header line. RFC 5321 bounds the lengths.
EMAIL = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]$"
)
LONGEST_EMAIL = 254
