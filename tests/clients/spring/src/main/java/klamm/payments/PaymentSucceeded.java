package klamm.payments;

/** What other services learn about a paid order. */
public record PaymentSucceeded(String paymentId, int amount) {}
